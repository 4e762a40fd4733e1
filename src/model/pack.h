// Messages as bytes: google.protobuf.Any of a kind's message on the wire, and bytes to compare.
#pragma once

#include <google/protobuf/any.pb.h>

#include <string>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

google::protobuf::Any pack(const Resource& resource);

// kInvalidArgument when the type is not a kind or the bytes are not of its message.
Result<Resource> unpack(const google::protobuf::Any& any);

// Equal messages give equal bytes: maps serialise in any order unless told otherwise.
std::string deterministic_bytes(const Message& message);
bool same_bytes(const Message& a, const Message& b);

}  // namespace frameworks
