// All kinds, by name.
#pragma once

#include <string_view>
#include <vector>

#include "model/kind.h"

namespace frameworks {

// In order of dependency: a kind comes after those it references.
const std::vector<Kind>& all_kinds();

// By name, plural or alias, any case; nullptr when there is none.
const Kind* find_kind(std::string_view name);

// By descriptor; CHECKs that the message is a kind.
const Kind& kind_of(const google::protobuf::Descriptor* descriptor);

template <typename T>
const Kind& kind_of() {
  static const Kind& kind = kind_of(T::descriptor());
  return kind;
}

template <typename T>
Resource Resource::of(T message) {
  return Resource(kind_of<T>(), std::make_shared<const T>(std::move(message)));
}

template <typename T>
const T& Resource::as() const {
  CHECK(message_ != nullptr && message_->GetDescriptor() == T::descriptor());
  return static_cast<const T&>(*message_);
}

}  // namespace frameworks
