// Who somebody is at an OpenID Connect issuer, as the value of Account's index "identity".
#pragma once

#include <string>
#include <string_view>

namespace frameworks {

inline std::string identity_key(std::string_view issuer, std::string_view subject) {
  // Not a separator of Snapshot's, and in no URL.
  return std::string(issuer).append("\n").append(subject);
}

}  // namespace frameworks
