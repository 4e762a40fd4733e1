#include "model/diff.h"

#include <optional>
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

// A field of a resource, or one of its metadata; named as in JSON.
struct Part {
  std::string first;
  std::string second = {};
  [[nodiscard]] std::string path() const { return second.empty() ? first : first + "." + second; }
};

// A part as JSON: compared with the secrets, so that a changed one is seen; told without them.
class PartJson {
 public:
  PartJson(const Message* message, const Part& part) {
    if (message == nullptr) return;
    const auto* field = message->GetDescriptor()->FindFieldByCamelcaseName(part.first);
    if (field == nullptr) return;
    if (!part.second.empty()) {
      message = &message->GetReflection()->GetMessage(*message, field);
      field = message->GetDescriptor()->FindFieldByCamelcaseName(part.second);
      CHECK(field != nullptr);
    }
    FieldJson written = field_json(*message, *field, Secrets::kMask);
    if (written.masked) open_ = field_json(*message, *field, Secrets::kShow).value;
    told_ = std::move(written.value);
  }
  [[nodiscard]] const json::value* told() const { return told_ ? &*told_ : nullptr; }
  [[nodiscard]] const json::value* compared() const { return open_ ? &*open_ : told(); }

 private:
  std::optional<json::value> told_;
  std::optional<json::value> open_;  // where it differs
};

std::vector<pb::FieldChange> diff_parts(const Message* before, const Message* after,
                                        std::span<const Part> parts) {
  std::vector<pb::FieldChange> out;
  Differ differ(out);
  for (const Part& part : parts) {
    const PartJson was(before, part);
    const PartJson is(after, part);
    differ.compare(part.path(), was.compared(), is.compared(), was.told(), is.told());
  }
  return out;
}

}  // namespace

std::vector<pb::FieldChange> diff(const Message* before, const Message* after) {
  static const Part kParts[] = {{"metadata", "labels"}, {"metadata", "annotations"}, {"spec"}};
  return diff_parts(before, after, kParts);
}

std::vector<pb::FieldChange> diff_all(const Message& before, const Message& after) {
  static const Part kParts[] = {{"metadata", "uid"},
                                {"metadata", "labels"},
                                {"metadata", "annotations"},
                                {"metadata", "finalizers"},
                                {"metadata", "deleteTime"},
                                {"spec"},
                                {"status"}};
  return diff_parts(&before, &after, kParts);
}

}  // namespace frameworks
