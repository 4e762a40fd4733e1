#include "runtime/openid/issuer.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "base/web_url.h"

namespace frameworks {
namespace {

constexpr int kOk = 200;

Result<std::string> fetch(WebClient& web, const std::string& url, std::stop_token stop) {
  ASSIGN_OR_RETURN(WebAnswer answer, web.ask({.url = url, .stop = std::move(stop)}));
  if (answer.status != kOk)
    return Error(Code::kUnavailable, fmt::format("{} answers with {}", url, answer.status));
  return std::move(answer.body);
}

using Keys = std::shared_ptr<const std::vector<Jwk>>;

Result<Keys> fetch_keys(WebClient& web, const std::string& issuer, const std::stop_token& stop) {
  ASSIGN_OR_RETURN(const IssuerMetadata metadata, discover_issuer(web, issuer, stop));
  ASSIGN_OR_RETURN(const std::string text, fetch(web, metadata.jwks_uri, stop));
  ASSIGN_OR_RETURN(std::vector<Jwk> keys, parse_jwk_set(text));
  return std::make_shared<const std::vector<Jwk>>(std::move(keys));
}

}  // namespace

Result<IssuerMetadata> parse_issuer_metadata(std::string_view text, std::string_view issuer) {
  const auto bad = [&](std::string_view message) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("issuer {}: its configuration {}", issuer, message));
  };
  const auto object = parse_strict_object(text);
  if (!object) return bad(object.error().message());
  IssuerMetadata out;
  out.issuer = string_member(*object, "issuer");
  if (out.issuer != issuer) return bad("is of another issuer");
  const auto own = parse_web_url(issuer);
  const auto take = [&](std::string_view name, std::string& to) -> Status {
    to = string_member(*object, name);
    if (to.empty()) return {};
    const auto url = parse_web_url(to);
    if (!url) return bad(fmt::format("has a {} that {}", name, url.error().message()));
    if (own && own->tls && !url->tls) return bad(fmt::format("has a {} that is not https", name));
    return {};
  };
  RETURN_IF_ERROR(take("jwks_uri", out.jwks_uri));
  RETURN_IF_ERROR(take("token_endpoint", out.token_endpoint));
  RETURN_IF_ERROR(take("device_authorization_endpoint", out.device_authorization_endpoint));
  if (out.jwks_uri.empty()) return bad("has no jwks_uri");
  return out;
}

Result<IssuerMetadata> discover_issuer(WebClient& web, const std::string& issuer,
                                       std::stop_token stop) {
  // Discovery 1.0, section 4.1: a path's last slash goes.
  const std::string base = issuer.ends_with('/') ? issuer.substr(0, issuer.size() - 1) : issuer;
  ASSIGN_OR_RETURN(const std::string text,
                   fetch(web, base + "/.well-known/openid-configuration", std::move(stop)));
  return parse_issuer_metadata(text, issuer);
}

class IssuerKeys::State {
 public:
  State(WebClient& web, Clock& clock, Options options)
      : web_(web), clock_(clock), options_(options) {}

  Status verify(const std::string& issuer, const Jws& jws) {
    const Keys known = at_hand(issuer);
    if (known != nullptr && verify_jws(jws, *known) == Verdict::kGood) return {};
    ASSIGN_OR_RETURN(const Keys keys, ask(issuer));
    switch (verify_jws(jws, *keys)) {
      case Verdict::kGood:
        return {};
      case Verdict::kNoKey:
        return Error(Code::kUnauthenticated, "is signed by a key that its issuer does not have");
      case Verdict::kBad:
        break;
    }
    return Error(Code::kUnauthenticated, "has a signature that is not its issuer's");
  }

  void stop() {
    stop_.request_stop();
    changed_.notify_all();
  }

 private:
  struct Issuer {
    Keys keys;  // null: none were got yet
    MonoTime got{};
    std::optional<MonoTime> asked;  // last
    bool asking = false;
    std::string problem;  // of the last time
  };

  Keys at_hand(const std::string& issuer) {
    std::lock_guard lock(mutex_);
    const auto found = issuers_.find(issuer);
    return found == issuers_.end() ? nullptr : fresh(found->second);
  }

  Keys fresh(const Issuer& issuer) const {
    return issuer.keys != nullptr && clock_.mono() - issuer.got < options_.fresh ? issuer.keys
                                                                                 : nullptr;
  }

  // The newest keys that may be had now.
  Result<Keys> ask(const std::string& name) {
    std::unique_lock lock(mutex_);
    Issuer& issuer = issuers_[name];
    const bool soon = issuer.asked && clock_.mono() - *issuer.asked < options_.pause;
    if (soon && !issuer.asking) return outcome(issuer);
    if (waiting_ >= options_.waiting)
      return Error(Code::kUnavailable, "others wait for issuers: try again in a second");
    ++waiting_;
    if (issuer.asking) {
      changed_.wait(lock, [&] { return !issuer.asking || stop_.stop_requested(); });
    } else {
      issuer.asking = true;
      issuer.asked = clock_.mono();
      lock.unlock();
      Result<Keys> keys = fetch_keys(web_, name, stop_.get_token());
      lock.lock();
      take(name, issuer, std::move(keys));
    }
    --waiting_;
    if (stop_.stop_requested()) return Error(Code::kUnavailable, "the server stops");
    return outcome(issuer);
  }

  void take(const std::string& name, Issuer& issuer, Result<Keys> keys) {
    issuer.asking = false;
    if (keys) {
      issuer.keys = std::move(*keys);
      issuer.got = clock_.mono();
      issuer.problem.clear();
    } else {
      issuer.problem = keys.error().message();
      spdlog::warn("access: the keys of {} are not to be had: {}", name, issuer.problem);
    }
    changed_.notify_all();
  }

  Result<Keys> outcome(const Issuer& issuer) const {
    if (Keys keys = fresh(issuer); keys != nullptr) return keys;
    return Error(Code::kUnavailable,
                 fmt::format("the issuer's keys are not to be had: {}", issuer.problem));
  }

  WebClient& web_;
  Clock& clock_;
  const Options options_;
  std::stop_source stop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Entries stay: they are as many as administrators name issuers.
  std::map<std::string, Issuer> issuers_;
  int waiting_ = 0;
};

IssuerKeys::IssuerKeys(WebClient& web, Clock& clock, Options options)
    : state_(std::make_unique<State>(web, clock, options)) {}
IssuerKeys::~IssuerKeys() = default;

Status IssuerKeys::verify(const std::string& issuer, const Jws& jws) {
  return state_->verify(issuer, jws);
}
void IssuerKeys::stop() { state_->stop(); }

}  // namespace frameworks
