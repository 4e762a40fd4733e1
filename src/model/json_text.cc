// JSON values as text: one line, indented, or YAML.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cctype>

#include "model/json.h"

namespace frameworks {
namespace {

namespace json = boost::json;

// Boost.JSON writes 0.5 as 5E-1: right, and not for people.
std::string scalar_text(const json::value& value) {
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return json::serialize(value);
}

void write_json(const json::value& value, std::string& out, int indent) {
  const bool pretty = indent >= 0;
  const auto newline = [&](int level) {
    if (pretty) out.append(1, '\n').append(static_cast<size_t>(level) * 2, ' ');
  };
  const auto list = [&](const auto& items, char open, char close, auto write) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) out += ',';
      newline(indent + 1);
      write(item);
    }
    if (!first) newline(indent);
    out += close;
  };
  if (value.is_object()) {
    list(value.get_object(), '{', '}', [&](const auto& member) {
      out += json::serialize(member.key());
      out += pretty ? ": " : ":";
      write_json(member.value(), out, pretty ? indent + 1 : -1);
    });
  } else if (value.is_array()) {
    list(value.get_array(), '[', ']',
         [&](const auto& item) { write_json(item, out, pretty ? indent + 1 : -1); });
  } else {
    out += scalar_text(value);
  }
}

// "10.64.1.0/24", "192.0.2.1": no YAML reader takes three dots for a number.
bool is_dotted(std::string_view text) {
  return std::count(text.begin(), text.end(), '.') == 3 &&
         std::isdigit(static_cast<unsigned char>(text.front())) != 0 &&
         text.find_first_not_of("0123456789./") == std::string_view::npos;
}

// A string that every YAML reader takes for the same string without quotes.
bool is_plain(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kWords = {"null", "true", "false", "yes", "no",
                                                             "on",   "off",  "y",     "n"};
  if (!text.empty() && is_dotted(text)) return true;
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0) return false;
  const bool characters = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_-./@+").find(c) != std::string_view::npos;
  });
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return characters && lower != "nan" && lower != "inf" && lower != "infinity" &&
         std::find(kWords.begin(), kWords.end(), lower) == kWords.end();
}

std::string yaml_string(std::string_view text) {
  return is_plain(text) ? std::string(text)
                        : json::serialize(json::string_view(text.data(), text.size()));
}

bool is_block(const json::value& value) {
  return (value.is_object() && !value.get_object().empty()) ||
         (value.is_array() && !value.get_array().empty());
}

void write_yaml(const json::value& value, std::string& out, size_t indent);

// What stands after "key:" or "-".
void write_yaml_after(const json::value& value, std::string& out, size_t indent, bool in_list) {
  if (!is_block(value)) {
    out += ' ';
    if (value.is_string())
      out += yaml_string({value.get_string().data(), value.get_string().size()});
    else
      out += scalar_text(value);
    out += '\n';
    return;
  }
  std::string block;
  write_yaml(value, block, indent);
  if (in_list) {
    out += ' ';
    out += std::string_view(block).substr(indent);  // the first line stands behind the dash
  } else {
    out += '\n';
    out += block;
  }
}

void write_yaml(const json::value& value, std::string& out, size_t indent) {
  if (value.is_object()) {
    for (const auto& member : value.get_object()) {
      out.append(indent, ' ');
      out += yaml_string({member.key().data(), member.key().size()});
      out += ':';
      write_yaml_after(member.value(), out, indent + 2, false);
    }
  } else if (value.is_array()) {
    for (const auto& item : value.get_array()) {
      out.append(indent, ' ');
      out += '-';
      write_yaml_after(item, out, indent + 2, true);
    }
  }
}

}  // namespace

std::string json_text(const json::value& value) {
  std::string out;
  write_json(value, out, -1);
  return out;
}

std::string pretty_json(const json::value& value) {
  std::string out;
  write_json(value, out, 0);
  return out;
}

std::string yaml_text(const json::value& value) {
  std::string out;
  if (is_block(value))
    write_yaml(value, out, 0);
  else
    out = json_text(value) + "\n";
  return out;
}

}  // namespace frameworks
