// Who calls: bearer tokens of accounts, client certificates of nodes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "server/api.h"

namespace frameworks {

// Threadsafe once filled.
class Authentication {
 public:
  // Takes <state>/admin.token, or makes it (0600) when there is none.
  static Result<Authentication> load_or_create(const std::filesystem::path& state);

  // A further token that stands for `caller`.
  void add_token(std::string_view token, Caller caller);

  // `authorization`: the header's value, empty when absent. `node`: the name in the verified client
  // certificate, empty when there was none. A wrong token is kUnauthenticated even when the
  // certificate is good; without either the caller is nobody in particular.
  [[nodiscard]] Result<Caller> identify(std::string_view authorization,
                                        std::string_view node) const;

 private:
  struct Token {
    std::string hash;  // SHA-256, hex
    Caller caller;
  };
  std::vector<Token> tokens_;
};

}  // namespace frameworks
