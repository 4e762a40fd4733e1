// Resources on the wire: google.protobuf.Any of the kind's message.
#pragma once

#include <google/protobuf/any.pb.h>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

google::protobuf::Any pack(const Resource& resource);

// kInvalidArgument when the type is not a kind or the bytes are not of its message.
Result<Resource> unpack(const google::protobuf::Any& any);

}  // namespace frameworks
