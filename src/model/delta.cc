#include "model/delta.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/locked.h"
#include "frameworks/v1/options.pb.h"
#include "model/delta_bytes.h"
#include "model/diff.h"
#include "model/json.h"
#include "model/pack.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

// Of a secret that another one replaced; JSON shows kSecretMask for both.
constexpr std::string_view kOtherSecret = "(another secret)";

bool is_secret(const FieldDescriptor& field) {
  return field.options().GetExtension(pb::rules).secret();
}

bool finds_secret(const Descriptor& type, std::set<const Descriptor*>& seen) {
  if (!seen.insert(&type).second) return false;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (is_secret(field)) return true;
    if (field.message_type() != nullptr && finds_secret(*field.message_type(), seen)) return true;
  }
  return false;
}

// Whether messages of a type can hold secrets; most cannot, and need not be searched.
bool has_secrets(const Descriptor& type) {
  static Locked<std::map<const Descriptor*, bool>> known;
  return known.with([&](std::map<const Descriptor*, bool>& map) {
    const auto [at, added] = map.try_emplace(&type, false);
    std::set<const Descriptor*> seen;
    if (added) at->second = finds_secret(type, seen);
    return at->second;
  });
}

template <typename T, typename One, typename Many>
bool same_number(One one, Many many, const Message& a, const Message& b, const Reflection& r,
                 const FieldDescriptor& f, int i, int k) {
  const T left = i < 0 ? (r.*one)(a, &f) : (r.*many)(a, &f, i);
  const T right = k < 0 ? (r.*one)(b, &f) : (r.*many)(b, &f, k);
  return !(left < right) && !(right < left);
}

// Entry i of the one and k of the other; -1: the field is no list.
bool same_value(const Message& a, const Message& b, const FieldDescriptor& f, int i, int k) {
  const Reflection& r = *a.GetReflection();
  using R = Reflection;
  switch (f.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return same_number<bool>(&R::GetBool, &R::GetRepeatedBool, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_INT32:
      return same_number<int32_t>(&R::GetInt32, &R::GetRepeatedInt32, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_INT64:
      return same_number<int64_t>(&R::GetInt64, &R::GetRepeatedInt64, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_UINT32:
      return same_number<uint32_t>(&R::GetUInt32, &R::GetRepeatedUInt32, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_UINT64:
      return same_number<uint64_t>(&R::GetUInt64, &R::GetRepeatedUInt64, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return same_number<double>(&R::GetDouble, &R::GetRepeatedDouble, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return same_number<float>(&R::GetFloat, &R::GetRepeatedFloat, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_ENUM:
      return same_number<int>(&R::GetEnumValue, &R::GetRepeatedEnumValue, a, b, r, f, i, k);
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string left;
      std::string right;
      return (i < 0 ? r.GetStringReference(a, &f, &left)
                    : r.GetRepeatedStringReference(a, &f, i, &left)) ==
             (k < 0 ? r.GetStringReference(b, &f, &right)
                    : r.GetRepeatedStringReference(b, &f, k, &right));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return same_bytes(i < 0 ? r.GetMessage(a, &f) : r.GetRepeatedMessage(a, &f, i),
                        k < 0 ? r.GetMessage(b, &f) : r.GetRepeatedMessage(b, &f, k));
  }
  return false;
}

bool same_list(const Message& a, const Message& b, const FieldDescriptor& field) {
  const int size = a.GetReflection()->FieldSize(a, &field);
  if (size != b.GetReflection()->FieldSize(b, &field)) return false;
  for (int i = 0; i < size; ++i)
    if (!same_value(a, b, field, i, i)) return false;
  return true;
}

std::string map_key(const Message& message, const FieldDescriptor& field, int entry) {
  const Reflection& r = *message.GetReflection();
  const Message& pair = r.GetRepeatedMessage(message, &field, entry);
  const FieldDescriptor& key = *field.message_type()->map_key();
  if (key.cpp_type() == FieldDescriptor::CPPTYPE_STRING)
    return pair.GetReflection()->GetString(pair, &key);
  return pair.ShortDebugString();
}

void keep_entries(Message& message, const FieldDescriptor& field, const std::set<int>& drop) {
  const Reflection& r = *message.GetReflection();
  for (auto entry = drop.rbegin(); entry != drop.rend(); ++entry) {
    r.SwapElements(&message, &field, *entry, r.FieldSize(message, &field) - 1);
    r.RemoveLast(&message, &field);
  }
}

void set_mask(Message& message, const FieldDescriptor& field, int entry, std::string_view mask) {
  const Reflection& r = *message.GetReflection();
  if (field.is_map()) {
    Message& pair = *r.MutableRepeatedMessage(&message, &field, entry);
    const FieldDescriptor& value = *field.message_type()->map_value();
    CHECK(value.cpp_type() == FieldDescriptor::CPPTYPE_STRING);
    pair.GetReflection()->SetString(&pair, &value, std::string(mask));
  } else if (field.is_repeated()) {
    r.SetRepeatedString(&message, &field, entry, std::string(mask));
  } else {
    CHECK(field.cpp_type() == FieldDescriptor::CPPTYPE_STRING);
    r.SetString(&message, &field, std::string(mask));
  }
}

// Takes out of two messages what is the same in both.
class Stripper {
 public:
  void message(Message& a, Message& b) const {
    const Descriptor& type = *a.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) field(a, b, *type.field(i));
  }

  // Masks whatever secrets the two hold, at the same places; true: they hold others.
  static void mask(Message* a, Message* b) {
    const Descriptor& type = *(a != nullptr ? a : b)->GetDescriptor();
    if (!has_secrets(type)) return;
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (is_secret(field)) {
        mask_values(a, b, field);
      } else if (field.message_type() != nullptr) {
        mask_within(a, b, field);
      }
    }
  }

 private:
  static int size(const Message* message, const FieldDescriptor& field) {
    if (message == nullptr) return 0;
    const Reflection& r = *message->GetReflection();
    if (field.is_repeated()) return r.FieldSize(*message, &field);
    return r.HasField(*message, &field) ? 1 : 0;
  }

  // The place of each map entry is its key's; of anything else its index.
  static std::map<std::string, int> places(const Message* message, const FieldDescriptor& field) {
    std::map<std::string, int> out;
    for (int i = 0; i < size(message, field); ++i)
      out[field.is_map() ? map_key(*message, field, i) : std::to_string(i)] = i;
    return out;
  }

  static void mask_values(Message* a, Message* b, const FieldDescriptor& field) {
    const auto before = places(a, field);
    const auto after = places(b, field);
    const auto index = [&](int i) { return field.is_repeated() ? i : -1; };
    for (const auto& [place, i] : after) {
      const auto was = before.find(place);
      const bool other =
          was != before.end() && !same_value(*a, *b, field, index(was->second), index(i));
      set_mask(*b, field, i, other ? kOtherSecret : kSecretMask);
    }
    for (const auto& [place, i] : before) set_mask(*a, field, i, kSecretMask);
  }

  static void mask_within(Message* a, Message* b, const FieldDescriptor& field) {
    const auto at = [&](Message* message, int i) -> Message* {
      if (i >= size(message, field)) return nullptr;
      const Reflection& r = *message->GetReflection();
      return field.is_repeated() ? r.MutableRepeatedMessage(message, &field, i)
                                 : r.MutableMessage(message, &field);
    };
    for (int i = 0; i < std::max(size(a, field), size(b, field)); ++i) mask(at(a, i), at(b, i));
  }

  void field(Message& a, Message& b, const FieldDescriptor& field) const {
    const Reflection& r = *a.GetReflection();
    if (field.is_map()) return map(a, b, field);
    if (field.is_repeated()) {
      if (same_list(a, b, field)) clear(a, b, field);
      return;
    }
    const bool in_a = !field.has_presence() || r.HasField(a, &field);
    const bool in_b = !field.has_presence() || r.HasField(b, &field);
    if (in_a != in_b) return;
    if (!in_a) return;
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
        field.message_type()->file()->package() == "google.protobuf") {
      if (same_value(a, b, field, -1, -1)) clear(a, b, field);
      return;
    }
    Message& left = *r.MutableMessage(&a, &field);
    Message& right = *r.MutableMessage(&b, &field);
    message(left, right);
    if (left.ByteSizeLong() == 0 && right.ByteSizeLong() == 0) clear(a, b, field);
  }

  static void map(Message& a, Message& b, const FieldDescriptor& field) {
    const Reflection& r = *a.GetReflection();
    const int size_a = r.FieldSize(a, &field);
    const int size_b = r.FieldSize(b, &field);
    if (size_a == 0 || size_b == 0) return;
    std::map<std::string, int> before;
    for (int i = 0; i < size_a; ++i) before[map_key(a, field, i)] = i;
    std::set<int> drop_a;
    std::set<int> drop_b;
    for (int i = 0; i < size_b; ++i) {
      const auto was = before.find(map_key(b, field, i));
      if (was == before.end() || !same_value(a, b, field, was->second, i)) continue;
      drop_a.insert(was->second);
      drop_b.insert(i);
    }
    keep_entries(a, field, drop_a);
    keep_entries(b, field, drop_b);
  }

  static void clear(Message& a, Message& b, const FieldDescriptor& field) {
    a.GetReflection()->ClearField(&a, &field);
    b.GetReflection()->ClearField(&b, &field);
  }
};

// What is told of metadata: the rest is said by the write itself.
void keep_told(pb::Metadata& metadata) {
  metadata.clear_name();
  metadata.clear_tenant();
  metadata.clear_revision();
  metadata.clear_generation();
  metadata.clear_create_time();
  metadata.clear_update_time();
}

std::unique_ptr<Message> copy_of(const Kind& kind, const Resource& resource) {
  std::unique_ptr<Message> out = kind.make();
  if (!resource) return out;
  out->CopyFrom(resource.message());
  keep_told(kind.mutable_metadata(*out));
  return out;
}

bool is_empty(const Message& message, const FieldDescriptor& field) {
  const Reflection& r = *message.GetReflection();
  return !r.HasField(message, &field) || r.GetMessage(message, &field).ByteSizeLong() == 0;
}

}  // namespace

Delta delta(const Resource& before, const Resource& after) {
  CHECK(before || after);
  const auto bytes = [](const Resource& resource) -> std::optional<std::string> {
    if (!resource) return std::nullopt;
    return deterministic_bytes(resource.message());
  };
  const auto a = bytes(before);
  const auto b = bytes(after);
  return delta(before ? before.kind() : after.kind(), a, b);
}

Delta delta(const Kind& kind, std::optional<std::string_view> before,
            std::optional<std::string_view> after) {
  CHECK(before || after);
  if (!has_secrets(*kind.descriptor)) {
    auto taken = delta_of_bytes(
        kind, {before.value_or(""), after.value_or(""), before.has_value(), after.has_value()});
    if (taken) return *std::move(taken);
  }
  const auto parse = [&](std::optional<std::string_view> bytes) {
    if (!bytes) return Resource();
    std::unique_ptr<Message> message = kind.make();
    CHECK(message->ParseFromArray(bytes->data(), static_cast<int>(bytes->size())));
    return Resource(kind, std::move(message));
  };
  return delta_by_reflection(parse(before), parse(after));
}

Delta delta_by_reflection(const Resource& before, const Resource& after) {
  CHECK(before || after);
  const Kind& kind = before ? before.kind() : after.kind();
  const std::unique_ptr<Message> a = copy_of(kind, before);
  const std::unique_ptr<Message> b = copy_of(kind, after);
  const FieldDescriptor& metadata = *kind.descriptor->FindFieldByName("metadata");
  const FieldDescriptor& spec = *kind.descriptor->FindFieldByName("spec");
  const FieldDescriptor& status = *kind.descriptor->FindFieldByName("status");
  const auto clear = [](Message& message, const FieldDescriptor& field) {
    message.GetReflection()->ClearField(&message, &field);
  };
  if (before && after) Stripper().message(*a, *b);
  if (!after) clear(*a, status);
  for (Message* message : {a.get(), b.get()})
    if (is_empty(*message, metadata)) clear(*message, metadata);
  Stripper::mask(a.get(), b.get());
  const auto told = [&](const FieldDescriptor& field) {
    return !is_empty(*a, field) || !is_empty(*b, field);
  };
  Delta out;
  out.status_only = before && after && !told(metadata) && !told(spec);
  const auto status_size = [&](const Message& message) {
    return is_empty(message, status)
               ? size_t{0}
               : message.GetReflection()->GetMessage(message, &status).ByteSizeLong();
  };
  if (status_size(*a) + status_size(*b) > kDeltaStatusBytes) {
    out.status_left_out = true;
    clear(*a, status);
    clear(*b, status);
  }
  out.before = deterministic_bytes(*a);
  out.after = deterministic_bytes(*b);
  return out;
}

Result<std::vector<pb::FieldChange>> diff(const Kind& kind, std::string_view before,
                                          std::string_view after) {
  const auto parse = [&](std::string_view bytes) -> Result<std::unique_ptr<Message>> {
    std::unique_ptr<Message> message = kind.make();
    if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      return Error(Code::kDataLoss, "the bytes are no message of kind " + kind.name);
    return message;
  };
  ASSIGN_OR_RETURN(const auto a, parse(before));
  ASSIGN_OR_RETURN(const auto b, parse(after));
  return diff_all(*a, *b);
}

}  // namespace frameworks
