// Who calls: bearer tokens of accounts, client certificates of nodes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "server/api.h"

namespace frameworks {

class AddressLimits;

// Threadsafe once filled.
class Authentication {
 public:
  Authentication(Authentication&&) noexcept;
  Authentication& operator=(Authentication&&) noexcept;
  ~Authentication();

  // Takes <state>/admin.token, or makes it (0600) when there is none.
  static Result<Authentication> load_or_create(const std::filesystem::path& state);

  // A further token that stands for `caller`.
  void add_token(std::string_view token, Caller caller);

  // Knows the tokens of accounts, "fwt_…"; called on the transports' threads, must not wait.
  // `address` is where the caller is. kUnauthenticated; kResourceExhausted beyond a rate.
  using AccountTokens =
      std::function<Result<Caller>(std::string_view token, std::string_view address)>;
  void set_account_tokens(AccountTokens tokens) { account_tokens_ = std::move(tokens); }

  // `authorization`: the header's value, empty when absent. `node`: the name in the verified client
  // certificate, empty when there was none. A wrong token is kUnauthenticated even when the
  // certificate is good; without either the caller is nobody in particular.
  // How many wrong tokens an address may send at once; ten a second afterwards. Default 100.
  void limit_failures(int64_t at_once);

  // `source` as in Caller: "grpc 10.0.0.7". kResourceExhausted in place of kUnauthenticated for
  // addresses that sent too many wrong tokens; good ones are let in from there too.
  [[nodiscard]] Result<Caller> identify(std::string_view authorization, std::string_view node,
                                        std::string_view source) const;

 private:
  struct Token {
    std::string hash;  // SHA-256, hex
    Caller caller;
  };
  Authentication();
  [[nodiscard]] Result<Caller> caller_of(std::string_view token, std::string_view source) const;

  std::vector<Token> tokens_;
  AccountTokens account_tokens_;
  std::unique_ptr<AddressLimits> failures_;
};

}  // namespace frameworks
