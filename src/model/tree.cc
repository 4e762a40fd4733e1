#include "model/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace frameworks {
namespace {

Tree scalar(Tree::Type type, std::string text) {
  Tree out;
  out.type = type;
  out.text = std::move(text);
  return out;
}

Tree integer_tree(int64_t value) {
  Tree out = scalar(Tree::Type::kInteger, std::to_string(value));
  out.integer = value;
  out.number = static_cast<double>(value);
  return out;
}

Tree number_tree(double value) {
  // 1e3 and 5.0 are whole numbers in every language that writes JSON.
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (value == static_cast<double>(static_cast<int64_t>(std::clamp(value, -kExact, kExact))))
    return integer_tree(static_cast<int64_t>(value));
  Tree out = scalar(Tree::Type::kNumber, fmt::format("{}", value));
  out.number = value;
  return out;
}

}  // namespace

const Tree* Tree::find(std::string_view key) const {
  for (const Member& member : members)
    if (member.key == key) return &member.value;
  return nullptr;
}

std::string Tree::describe() const {
  switch (type) {
    case Type::kNull:
      return "nothing";
    case Type::kBoolean:
      return text.empty() ? (boolean ? "true" : "false") : text;
    case Type::kInteger:
    case Type::kNumber:
      return "number " + text;
    case Type::kString:
      return text.size() > 60 ? fmt::format("string \"{}...\"", text.substr(0, 57))
                              : fmt::format("string \"{}\"", text);
    case Type::kList:
      return "a list";
    case Type::kMap:
      return "a map";
  }
  return {};
}

Tree tree_from_json(const boost::json::value& json) {
  switch (json.kind()) {
    case boost::json::kind::null:
      return {};
    case boost::json::kind::bool_: {
      Tree out = scalar(Tree::Type::kBoolean, json.get_bool() ? "true" : "false");
      out.boolean = json.get_bool();
      return out;
    }
    case boost::json::kind::int64:
      return integer_tree(json.get_int64());
    case boost::json::kind::uint64: {
      Tree out = scalar(Tree::Type::kNumber, std::to_string(json.get_uint64()));
      out.number = static_cast<double>(json.get_uint64());
      return out;
    }
    case boost::json::kind::double_:
      return number_tree(json.get_double());
    case boost::json::kind::string:
      return scalar(Tree::Type::kString, std::string(json.get_string()));
    case boost::json::kind::array: {
      Tree out;
      out.type = Tree::Type::kList;
      for (const auto& item : json.get_array()) out.items.push_back(tree_from_json(item));
      return out;
    }
    case boost::json::kind::object: {
      Tree out;
      out.type = Tree::Type::kMap;
      for (const auto& member : json.get_object())
        out.members.push_back({std::string(member.key()), tree_from_json(member.value()), 0});
      return out;
    }
  }
  return {};
}

std::string field_path(std::string_view parent, std::string_view key) {
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
  });
  if (!plain) return fmt::format("{}[\"{}\"]", parent, key);
  return parent.empty() ? std::string(key) : fmt::format("{}.{}", parent, key);
}

}  // namespace frameworks
