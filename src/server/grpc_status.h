// Errors as gRPC carries them: code, message, and every violation as a serialized `Violations`.
#pragma once

#include <grpcpp/support/status.h>

#include "base/error.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "model/kind.h"

namespace frameworks {

inline pb::Violations to_proto(const std::vector<Violation>& violations) {
  pb::Violations out;
  for (const Violation& violation : violations) {
    auto& one = *out.add_violations();
    if (!violation.file.empty() || violation.line != 0) {
      one.mutable_origin()->set_file(violation.file);
      one.mutable_origin()->set_line(violation.line);
    }
    one.set_object(violation.object);
    one.set_field(violation.field);
    one.set_message(violation.message);
  }
  return out;
}

inline grpc::Status to_grpc(const Error& error) {
  const auto code = static_cast<grpc::StatusCode>(error.code());
  if (error.violations().empty()) return {code, error.message()};
  return {code, error.message(), to_proto(error.violations()).SerializeAsString()};
}

}  // namespace frameworks
