// Enumerations as people write them: "central", "customer-managed".
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <map>
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

// The words of an enumeration, made once.
class Words {
 public:
  explicit Words(const google::protobuf::EnumDescriptor& type);
  // The number for a value that this program does not know.
  [[nodiscard]] std::string of(int value) const;

 private:
  std::map<int, std::string> words_;
};

// enum_word() of a generated value; the number for one that this program does not know.
template <typename E>
std::string word(E value) {
  static const Words words(*google::protobuf::GetEnumDescriptor<E>());
  return words.of(value);
}

}  // namespace frameworks
