// Enumerations as people write them: "central", "customer-managed".
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <string_view>

namespace frameworks {

// The value's name without the enumeration's prefix, lower case, hyphens for underscores; empty for
// the value 0 ("unspecified").
std::string enum_word(const google::protobuf::EnumValueDescriptor& value);

// nullptr when no value has this word. The value 0 has none.
const google::protobuf::EnumValueDescriptor* find_enum(const google::protobuf::EnumDescriptor& type,
                                                       std::string_view word);

// Every word of the enumeration: "central, regional, edge".
std::string enum_words(const google::protobuf::EnumDescriptor& type);

// enum_word() of a generated value; the number for one that this program does not know.
template <typename E>
std::string word(E value) {
  const auto* found = google::protobuf::GetEnumDescriptor<E>()->FindValueByNumber(value);
  return found == nullptr ? std::to_string(static_cast<int>(value)) : enum_word(*found);
}

}  // namespace frameworks
