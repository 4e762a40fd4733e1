// Errors as gRPC carries them: code, message, and the violations as a serialized `Violations`.
//
// Clients take 8 KiB of metadata where nothing else was set, and learn neither code nor message of
// an error that has more. What does not fit is cut; REST tells all.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "model/kind.h"

namespace frameworks {

// How a call ends: "grpc-status", "grpc-message", "grpc-status-details-bin".
struct GrpcStatus {
  int code = 0;
  std::string message;
  std::string details;
};

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

// Percent-encoded the message may grow to three times its size, the details in base64 by a third.
inline constexpr size_t kMaxMessageBytes = 800;
inline constexpr size_t kMaxDetailBytes = 3'500;

inline std::string details_of(const std::vector<Violation>& violations) {
  const pb::Violations all = to_proto(violations);
  pb::Violations out;
  size_t bytes = 0;
  for (const pb::Violation& violation : all.violations()) {
    constexpr size_t kFraming = 4;
    bytes += violation.ByteSizeLong() + kFraming;
    if (bytes > kMaxDetailBytes) {
      const size_t left = violations.size() - static_cast<size_t>(out.violations_size());
      out.add_violations()->set_message("and " + std::to_string(left) +
                                        " more: mend these first, or ask by REST, which tells all");
      break;
    }
    *out.add_violations() = violation;
  }
  return out.SerializeAsString();
}

inline GrpcStatus to_grpc(const Error& error) {
  std::string message = error.message();
  if (message.size() > kMaxMessageBytes) {
    size_t end = kMaxMessageBytes;  // not within a character
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
    message = message.substr(0, end) + " …";
  }
  const int code = static_cast<int>(error.code());
  if (error.violations().empty()) return {code, std::move(message), {}};
  return {code, std::move(message), details_of(error.violations())};
}

}  // namespace frameworks
