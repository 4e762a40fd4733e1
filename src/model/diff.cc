#include "model/diff.h"

#include <map>
#include <set>
#include <span>

#include "frameworks/v1/options.pb.h"
#include "model/json.h"
#include "model/registry.h"
#include "model/tree.h"

namespace frameworks {
namespace {

namespace json = boost::json;

// A list of objects is compared entry by entry; a list of plain values as a whole.
bool has_parts(const json::value* value) {
  if (value == nullptr) return false;
  if (value->is_object()) return !value->get_object().empty();
  return value->is_array() && !value->get_array().empty() && value->get_array()[0].is_object();
}

std::string text(const json::value* value) {
  return value == nullptr ? std::string() : json_text(*value);
}

class Differ {
 public:
  explicit Differ(std::vector<pb::FieldChange>& out) : out_(out) {}

  void compare(const std::string& path, const json::value* before, const json::value* after,
               const json::value* masked_before, const json::value* masked_after) {
    if (before == after || (before != nullptr && after != nullptr && *before == *after)) return;
    const bool objects =
        (before == nullptr || before->is_object()) && (after == nullptr || after->is_object());
    const bool lists =
        (before == nullptr || before->is_array()) && (after == nullptr || after->is_array());
    if (objects && (has_parts(before) || has_parts(after)))
      return members(path, before, after, masked_before, masked_after);
    if (lists && (has_parts(before) || has_parts(after)))
      return entries(path, before, after, masked_before, masked_after);
    pb::FieldChange change;
    change.set_field(path);
    change.set_before(text(masked_before));
    change.set_after(text(masked_after));
    out_.push_back(std::move(change));
  }

 private:
  static const json::value* member(const json::value* object, std::string_view key) {
    return object == nullptr || !object->is_object()
               ? nullptr
               : object->get_object().if_contains(json::string_view(key.data(), key.size()));
  }

  static const json::value* entry(const json::value* list, size_t i) {
    return list == nullptr || !list->is_array() || i >= list->get_array().size()
               ? nullptr
               : &list->get_array()[i];
  }

  void members(const std::string& path, const json::value* before, const json::value* after,
               const json::value* masked_before, const json::value* masked_after) {
    std::set<std::string> seen;
    const auto each = [&](const json::value* object) {
      if (object == nullptr) return;
      for (const auto& item : object->get_object()) {
        const std::string key(item.key());
        if (!seen.insert(key).second) continue;
        compare(field_path(path, key), member(before, key), member(after, key),
                member(masked_before, key), member(masked_after, key));
      }
    };
    each(before);
    each(after);
  }

  void entries(const std::string& path, const json::value* before, const json::value* after,
               const json::value* masked_before, const json::value* masked_after) {
    const size_t size = std::max(before == nullptr ? 0 : before->get_array().size(),
                                 after == nullptr ? 0 : after->get_array().size());
    for (size_t i = 0; i < size; ++i)
      compare(path + "[" + std::to_string(i) + "]", entry(before, i), entry(after, i),
              entry(masked_before, i), entry(masked_after, i));
  }

  std::vector<pb::FieldChange>& out_;
};

const json::value* at(const json::value& root, std::string_view first, std::string_view second) {
  if (!root.is_object()) return nullptr;
  const auto* value = root.get_object().if_contains(json::string_view(first.data(), first.size()));
  if (value == nullptr || second.empty()) return value;
  return value->is_object()
             ? value->get_object().if_contains(json::string_view(second.data(), second.size()))
             : nullptr;
}

struct Part {
  std::string_view first;
  std::string_view second;
};

std::vector<pb::FieldChange> diff_parts(const Message* before, const Message* after,
                                        std::span<const Part> parts) {
  std::vector<pb::FieldChange> out;
  // Compared with the secrets, so that a changed one is seen; told without them.
  const auto load = [](const Message* message, Secrets secrets) {
    return message == nullptr ? json::value() : to_json(*message, secrets);
  };
  const json::value old_open = load(before, Secrets::kShow);
  const json::value new_open = load(after, Secrets::kShow);
  const json::value old_masked = load(before, Secrets::kMask);
  const json::value new_masked = load(after, Secrets::kMask);
  Differ differ(out);
  for (const auto& [first, second] : parts) {
    std::string path(first);
    if (!second.empty()) path += "." + std::string(second);
    differ.compare(path, at(old_open, first, second), at(new_open, first, second),
                   at(old_masked, first, second), at(new_masked, first, second));
  }
  return out;
}

}  // namespace

std::vector<pb::FieldChange> diff(const Message* before, const Message* after) {
  constexpr Part kParts[] = {{"metadata", "labels"}, {"metadata", "annotations"}, {"spec", {}}};
  return diff_parts(before, after, kParts);
}

std::vector<pb::FieldChange> diff_all(const Message& before, const Message& after) {
  constexpr Part kParts[] = {{"metadata", "uid"},         {"metadata", "labels"},
                             {"metadata", "annotations"}, {"metadata", "finalizers"},
                             {"metadata", "deleteTime"},  {"spec", {}},
                             {"status", {}}};
  return diff_parts(&before, &after, kParts);
}

}  // namespace frameworks
