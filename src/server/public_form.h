// Resources as they leave the server: fields that hold secrets are masked.
#pragma once

#include <google/protobuf/any.pb.h>

#include "model/kind.h"

namespace frameworks {

google::protobuf::Any public_form(const Resource& resource);

}  // namespace frameworks
