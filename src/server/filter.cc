#include "server/filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.h"
#include "model/json.h"

namespace frameworks {
namespace {

namespace json = boost::json;

Error invalid(std::string message) {
  return Error::invalid({{{}, 0, "", "filter", std::move(message)}});
}

bool has_path(const google::protobuf::Descriptor* type, const std::vector<std::string>& path) {
  for (const std::string& name : path) {
    // Within maps and free values every name may be.
    if (type == nullptr || type->file()->package() != "frameworks.v1") return type != nullptr;
    const auto* field = type->FindFieldByCamelcaseName(name);
    if (field == nullptr || field->json_name() != name) return false;
    if (field->is_map()) return true;
    type = field->message_type();
  }
  return true;
}

const json::value* find_value(const json::value& root, const std::vector<std::string>& path) {
  const json::value* at = &root;
  for (const std::string& name : path) {
    if (!at->is_object()) return nullptr;
    at = at->get_object().if_contains(name);
    if (at == nullptr) return nullptr;
  }
  return at;
}

bool has_value(const json::value& value, const std::string& wanted) {
  if (value.is_array())
    return std::any_of(value.get_array().begin(), value.get_array().end(),
                       [&](const json::value& item) { return has_value(item, wanted); });
  if (value.is_string()) return value.get_string() == wanted;
  return !value.is_object() && json_text(value) == wanted;
}

}  // namespace

Result<Filter::Term> Filter::parse_term(std::string_view text) {
  Term term;
  std::string_view path = trim(text);
  const size_t equals = path.find('=');
  if (equals != std::string_view::npos) {
    term.compares = true;
    term.value = trim(path.substr(equals + 1));
    path = path.substr(0, equals);
    if (path.ends_with('!')) {
      term.wanted = false;
      path.remove_suffix(1);
    }
    path = trim(path);
  } else if (path.starts_with('!')) {
    term.wanted = false;
    path.remove_prefix(1);
  }
  // A label's name may have dots of its own.
  for (const std::string_view labels : {"labels.", "metadata.labels."})
    if (path.starts_with(labels) && path.size() > labels.size())
      term.path = {"metadata", "labels", std::string(path.substr(labels.size()))};
  if (term.path.empty()) term.path = split(path, '.');
  const bool named = std::none_of(term.path.begin(), term.path.end(),
                                  [](const std::string& name) { return name.empty(); });
  if (path.empty() || !named || path.find_first_of("!=<>() \t\r\n\"") != std::string_view::npos)
    return invalid(
        fmt::format("\"{}\" is no term: use path=value, path!=value, path or !path", trim(text)));
  return term;
}

Result<Filter> Filter::parse(std::string_view text, const std::vector<const Kind*>& kinds) {
  Filter out;
  if (trim(text).empty()) return out;
  if (text.size() > kMaxBytes) return invalid(fmt::format("is longer than {} bytes", kMaxBytes));
  for (const std::string& part : split(text, ',')) {
    ASSIGN_OR_RETURN(Term term, parse_term(part));
    if (std::none_of(kinds.begin(), kinds.end(),
                     [&](const Kind* kind) { return has_path(kind->descriptor, term.path); }))
      return invalid(fmt::format("\"{}\": no such field", trim(part)));
    out.terms_.push_back(std::move(term));
    if (out.terms_.size() > kMaxTerms)
      return invalid(fmt::format("has more than {} terms", kMaxTerms));
  }
  return out;
}

bool Filter::matches(const Message& resource) const {
  if (terms_.empty()) return true;
  const json::value root = to_json(resource);
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    const json::value* value = find_value(root, term.path);
    if (!term.compares) return (value != nullptr) == term.wanted;
    return (value != nullptr && has_value(*value, term.value)) == term.wanted;
  });
}

}  // namespace frameworks
