// Who calls: bearer tokens of accounts, client certificates of nodes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "runtime/access/token_desk.h"
#include "server/api.h"

namespace frameworks {

class AddressLimits;
using CallerPtr = std::shared_ptr<const Caller>;

// Who called last on a connection: the same credentials need not be looked at again. For one
// thread.
class LastCaller {
 public:
  LastCaller() = default;
  LastCaller(const LastCaller&) = delete;
  LastCaller& operator=(const LastCaller&) = delete;
  ~LastCaller();

 private:
  friend class Authentication;
  std::string authorization_;
  CallerPtr caller_;                      // null: nobody yet
  std::shared_ptr<AdmittedToken> token_;  // null: what was shown is good as long as it is shown
};

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

  // Knows the tokens of accounts, "fwt_…" (TokenDesk::admit); what it tells of must outlive all
  // connections.
  using AccountTokens = std::function<Result<std::shared_ptr<AdmittedToken>>(
      std::string_view token, std::string_view address)>;
  void set_account_tokens(AccountTokens tokens) { account_tokens_ = std::move(tokens); }

  // How many wrong tokens an address may send at once; ten a second afterwards. Default 100.
  void limit_failures(int64_t at_once);

  // Called on the transports' threads, never waits. `authorization`: the header's value, empty when
  // absent. `node`: the name in the verified client certificate, empty when there was none. A wrong
  // token is kUnauthenticated even when the certificate is good; without either the caller is
  // nobody in particular. `source` as in Caller: "grpc 10.0.0.7". `node` and `source` are those of
  // the connection that `last` belongs to. kResourceExhausted beyond a token's rate, and in place
  // of kUnauthenticated for addresses that sent too many wrong tokens; good ones are let in from
  // there too.
  [[nodiscard]] Result<CallerPtr> identify(std::string_view authorization, std::string_view node,
                                           std::string_view source, LastCaller& last) const;

 private:
  struct Token {
    std::string hash;  // SHA-256, hex
    Caller caller;
  };
  Authentication();
  [[nodiscard]] Result<Caller> caller_of(std::string_view token, std::string_view source,
                                         LastCaller& last) const;

  std::vector<Token> tokens_;
  AccountTokens account_tokens_;
  std::unique_ptr<AddressLimits> failures_;
};

}  // namespace frameworks
