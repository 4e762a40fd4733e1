#include "base/error.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace frameworks {

std::string_view code_name(Code code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "ok",           "cancelled",        "unknown",          "invalid_argument",
      "deadline_exceeded", "not_found",   "already_exists",   "permission_denied",
      "resource_exhausted", "failed_precondition", "aborted", "out_of_range",
      "unimplemented", "internal",        "unavailable",      "data_loss",
      "unauthenticated"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

bool is_retryable(Code code) {
  return code == Code::kUnavailable || code == Code::kAborted || code == Code::kDeadlineExceeded ||
         code == Code::kResourceExhausted;
}

std::string Violation::text() const {
  std::string out;
  if (!file.empty()) out += line > 0 ? fmt::format("{}:{}: ", file, line) : file + ": ";
  if (!object.empty()) out += object + ": ";
  if (!field.empty()) out += field + ": ";
  return out + message;
}

Error Error::invalid(std::vector<Violation> violations) {
  Error error(Code::kInvalidArgument,
              violations.size() == 1 ? violations.front().text()
                                     : fmt::format("{} violations", violations.size()));
  error.violations_ = std::move(violations);
  return error;
}

Error Error::with_context(std::string_view context) const {
  Error out = *this;
  out.message_ = fmt::format("{}: {}", context, message_);
  return out;
}

std::string Error::text() const {
  if (violations_.size() < 2) return message_;
  std::string out = message_;
  for (const Violation& violation : violations_) out += "\n" + violation.text();
  return out;
}

Error errno_error(std::string_view what) {
  const int number = errno;
  Code code = Code::kInternal;
  if (number == ENOENT) code = Code::kNotFound;
  if (number == EEXIST) code = Code::kAlreadyExists;
  if (number == EACCES || number == EPERM) code = Code::kPermissionDenied;
  if (number == ENOSPC || number == EMFILE || number == ENOMEM) code = Code::kResourceExhausted;
  if (number == ECONNREFUSED || number == EAGAIN || number == ENETUNREACH || number == EHOSTUNREACH)
    code = Code::kUnavailable;
  if (number == ETIMEDOUT) code = Code::kDeadlineExceeded;
  return {code, fmt::format("{}: {}", what, std::generic_category().message(number))};
}

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace frameworks
