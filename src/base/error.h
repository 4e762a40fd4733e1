// The one error type and `Result<T>`.
//
// Callers branch on the code, never on text. A message is one lower-case clause that names the
// object and the value, and the next step where there is one.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace frameworks {

// Canonical gRPC codes (numbers as in grpc::StatusCode), so that transports need no table.
enum class Code {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "not_found", "invalid_argument", ...
std::string_view code_name(Code code);
// True for codes that may go away by themselves: unavailable, aborted, deadline, exhausted.
bool is_retryable(Code code);

// One thing wrong with the input. `line` 0: unknown.
struct Violation {
  std::string file;
  int line = 0;
  std::string object;  // "Kind/name"
  std::string field;   // "spec.ports[1].port"
  std::string message;

  bool operator==(const Violation&) const = default;
  // "fleets/demo/core.yaml:12: Service/postgresql: spec.ports[0].port: ..."
  [[nodiscard]] std::string text() const;
};

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  static Error invalid(std::vector<Violation> violations);

  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }
  // Puts "context: " before the message; once a layer.
  [[nodiscard]] Error with_context(std::string_view context) const;
  // For logs and terminals: message and every violation, a line each.
  [[nodiscard]] std::string text() const;

 private:
  Code code_;
  std::string message_;
  std::vector<Violation> violations_;
};

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using tl::expected<void, Error>::expected;
  Result() = default;
  Result(Error error) : tl::expected<void, Error>(tl::unexpect, std::move(error)) {}
};

using Status = Result<void>;

// The error of the calling thread's errno: "open /x: Permission denied".
Error errno_error(std::string_view what);

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace frameworks

#define FW_CONCAT_INNER(a, b) a##b
#define FW_CONCAT(a, b) FW_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                           \
  do {                                                        \
    if (auto fw_status = (expression); !fw_status)            \
      return ::frameworks::Error(std::move(fw_status.error())); \
  } while (false)

#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_IMPL(FW_CONCAT(fw_result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                  \
  if (!result) return ::frameworks::Error(std::move(result.error())); \
  declaration = std::move(*result)

// Our own bug: die with a message; restart is cheap.
#define CHECK(condition) \
  ((condition) ? void(0) : ::frameworks::check_failed(__FILE__, __LINE__, #condition))
