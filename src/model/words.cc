#include "model/words.h"

#include <algorithm>
#include <cctype>

namespace frameworks {
namespace {

// "CheckType" → "CHECK_TYPE_", which protobuf's style puts before every value.
std::string prefix_of(const google::protobuf::EnumDescriptor& type) {
  std::string out;
  for (const char c : type.name()) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0 && !out.empty()) out += '_';
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out + "_";
}

}  // namespace

std::string enum_word(const google::protobuf::EnumValueDescriptor& value) {
  if (value.number() == 0) return {};
  const std::string prefix = prefix_of(*value.type());
  std::string out = value.name();
  if (out.starts_with(prefix)) out.erase(0, prefix.size());
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return out;
}

const google::protobuf::EnumValueDescriptor* find_enum(const google::protobuf::EnumDescriptor& type,
                                                       std::string_view word) {
  for (int i = 0; i < type.value_count(); ++i)
    if (type.value(i)->number() != 0 && enum_word(*type.value(i)) == word) return type.value(i);
  return nullptr;
}

std::string enum_words(const google::protobuf::EnumDescriptor& type) {
  std::string out;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;
    if (!out.empty()) out += ", ";
    out += enum_word(*type.value(i));
  }
  return out;
}

Words::Words(const google::protobuf::EnumDescriptor& type) {
  for (int i = 0; i < type.value_count(); ++i)
    words_.emplace(type.value(i)->number(), enum_word(*type.value(i)));
}

std::string Words::of(int value) const {
  const auto found = words_.find(value);
  return found == words_.end() ? std::to_string(value) : found->second;
}

}  // namespace frameworks
