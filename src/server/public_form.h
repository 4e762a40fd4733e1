// Resources as they leave the server: fields that hold secrets are masked.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/field_mask.pb.h>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

google::protobuf::Any public_form(const Resource& resource);
// Only the fields with these paths, as in JSON ("spec.tier"); none: all.
google::protobuf::Any public_form(const Resource& resource,
                                  const google::protobuf::FieldMask& fields);
// kInvalidArgument, in `fields` of the request, for paths that the kind does not have.
Result<google::protobuf::FieldMask> fields_of(
    const Kind& kind, const google::protobuf::RepeatedPtrField<std::string>& paths);

}  // namespace frameworks
