// Asking foreign HTTP servers: issuers of identities, receivers of notifications.
//
// Certificates are verified; there are no redirects and no cookies; an answer is bounded in time
// and size. Where one may ask: web_url.h.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace frameworks {

struct WebRequest {
  std::string url;
  // A POST of this where there is a type, else a GET.
  std::string content_type{};
  std::string content{};
  std::vector<std::string> headers{};  // "Name: value"
  std::chrono::milliseconds timeout{5'000};
  // Bytes of an answer's body.
  size_t limit = 512 * 1024;
  std::stop_token stop{};
};

struct WebAnswer {
  int status = 0;
  std::string body;
};

class WebClient {
 public:
  virtual ~WebClient() = default;
  // Any status is an answer. kInvalidArgument: the url. kUnavailable: not reached, or not trusted.
  // kDeadlineExceeded, kCancelled. kFailedPrecondition: the answer is too long. Threadsafe.
  virtual Result<WebAnswer> ask(const WebRequest& request) = 0;
};

// The real one (libcurl).
std::unique_ptr<WebClient> make_web_client();

// application/x-www-form-urlencoded.
std::string form_encode(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace frameworks
