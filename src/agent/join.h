// Trades a join token for a certificate.
#pragma once

#include <filesystem>
#include <string>

#include "agent/identity.h"
#include "base/error.h"

namespace frameworks {

struct JoinOrder {
  std::string server;  // "address:port"
  std::string node;
  std::filesystem::path token_file;  // deleted after a good join
  std::filesystem::path ca_file;     // who may sign the server's certificate
};

// One try. kPermissionDenied or kUnauthenticated: the token is no good; anything else may get
// better.
Status join(const JoinOrder& order, Identity& identity);

}  // namespace frameworks
