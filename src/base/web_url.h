// Addresses of foreign HTTP servers that may be asked: https, or http on this host.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace frameworks {

struct WebUrl {
  bool tls = false;
  std::string host;  // without brackets
  int port = 0;      // 0: the scheme's own
};

// RFC 3986, narrowly: https anywhere, http to "localhost" or a loopback address only; no user
// information, no fragment, no character that another reader could take differently.
// kInvalidArgument, as a clause that follows the value.
Result<WebUrl> parse_web_url(std::string_view text);

}  // namespace frameworks
