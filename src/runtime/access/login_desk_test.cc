#include "runtime/access/login_desk.h"

#include <gtest/gtest.h>

#include <thread>

#include "frameworks/v1/tenant.pb.h"
#include "model/registry.h"
#include "runtime/access/token.h"
#include "runtime/openid/fake_issuer.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kFrom = "grpc 192.0.2.1";

class LogIn : public ::testing::Test {
 protected:
  LogIn() {
    store_ = std::move(*Store::open(std::make_unique<FakeLog>(), clock_, {}));
    desk_ = std::make_unique<LoginDesk>(*store_, clock_, issuer_, LoginDesk::Options{});
    pb::IdentityProvider provider;
    provider.mutable_metadata()->set_name("corp");
    provider.mutable_spec()->set_issuer(FakeIssuer::kIssuer);
    provider.mutable_spec()->set_client_id(FakeIssuer::kClient);
    put(provider);
    put(account("ada", "ada"));
  }

  template <typename T>
  void put(T message) {
    ASSERT_TRUE(store_->write("test", [&](Transaction& t) -> Status {
      t.put(std::move(message));
      return {};
    }));
  }
  static pb::Account account(const std::string& name, const std::string& subject) {
    pb::Account out;
    out.mutable_metadata()->set_name(name);
    out.mutable_spec()->set_role(pb::ROLE_OPERATOR);
    auto& identity = *out.mutable_spec()->add_identities();
    identity.set_issuer(FakeIssuer::kIssuer);
    identity.set_subject(subject);
    return out;
  }
  std::string id_token(const std::string& subject = "ada") {
    return issuer_.key().token(FakeIssuer::claims(clock_.wall(), subject));
  }
  Result<pb::CreateTokenResponse> log_in(const std::string& id_token,
                                         const std::string& provider = "corp",
                                         const std::string& from = kFrom) {
    pb::LoginRequest request;
    request.set_provider(provider);
    request.set_id_token(id_token);
    return desk_->log_in(request, from);
  }
  std::string refusal(const std::string& id_token) {
    const auto done = log_in(id_token);
    if (done) return "logged in";
    EXPECT_EQ(done.error().code(), Code::kUnauthenticated) << done.error().message();
    return done.error().message();
  }
  TokenVerdict verdict(const std::string& token) {
    return verify_token(*store_->snapshot(), token, clock_.wall());
  }

  ManualClock clock_;
  FakeIssuer issuer_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<LoginDesk> desk_;
};

TEST_F(LogIn, GivesATokenOfTheAccountForAsLongAsTheProviderSays) {
  const auto made = log_in(id_token());
  ASSERT_TRUE(made) << made.error().message();
  const TokenVerdict known = verdict(made->token());
  ASSERT_FALSE(known.refusal);
  EXPECT_EQ(known.principal.account, "ada");
  EXPECT_EQ(known.principal.role, pb::ROLE_OPERATOR);
  EXPECT_EQ(known.principal.tenant, "");
  clock_.advance(std::chrono::hours(12) - minutes(1));
  EXPECT_FALSE(verdict(made->token()).refusal);
  clock_.advance(minutes(2));
  EXPECT_EQ(verdict(made->token()).refusal, TokenRefusal::kExpired);

  pb::IdentityProvider provider = *store_->snapshot()->find<pb::IdentityProvider>("corp");
  provider.mutable_spec()->set_token_seconds(900);
  put(provider);
  const auto brief = log_in(id_token());
  ASSERT_TRUE(brief);
  clock_.advance(minutes(15));
  EXPECT_EQ(verdict(brief->token()).refusal, TokenRefusal::kExpired);
  EXPECT_EQ(desk_->admitted(), 2u);
}

TEST_F(LogIn, FollowsTheAccountsRoleAndTenant) {
  const auto made = log_in(id_token());
  ASSERT_TRUE(made);
  pb::Tenant tenant;
  tenant.mutable_metadata()->set_name("acme");
  put(tenant);
  pb::Account bound = account("eve", "eve");
  bound.mutable_spec()->set_tenant("acme");
  put(bound);
  EXPECT_EQ(verdict(log_in(id_token("eve"))->token()).principal.tenant, "acme");
  pb::Account lower = account("ada", "ada");
  lower.mutable_spec()->set_role(pb::ROLE_VIEWER);
  put(lower);
  EXPECT_EQ(verdict(made->token()).principal.role, pb::ROLE_VIEWER);
}

TEST_F(LogIn, AnIdTokenIsGoodOnce) {
  const std::string token = id_token();
  ASSERT_TRUE(log_in(token));
  EXPECT_EQ(refusal(token), "the ID token was used already: log in again");
  // Nor by another server on the same fleet, nor after a restart.
  LoginDesk other(*store_, clock_, issuer_, {});
  pb::LoginRequest request;
  request.set_provider("corp");
  request.set_id_token(token);
  EXPECT_FALSE(other.log_in(request, kFrom));
  EXPECT_TRUE(log_in(id_token()));
}

TEST_F(LogIn, TheOtherFormOfAnEcdsaSignatureIsTheSameToken) {
  const std::string token = id_token();
  ASSERT_TRUE(log_in(token));
  // (r, n - s) verifies as (r, s) does.
  const size_t dot = token.rfind('.');
  const std::string signature = *base64url_decode(token.substr(dot + 1));
  BIGNUM* s = BN_bin2bn(reinterpret_cast<const unsigned char*>(signature.data()) + 32, 32, nullptr);
  BIGNUM* n = nullptr;
  BN_hex2bn(&n, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551");
  BN_sub(s, n, s);
  std::string twin = signature;
  BN_bn2binpad(s, reinterpret_cast<unsigned char*>(twin.data()) + 32, 32);
  BN_free(s);
  BN_free(n);
  const std::string again = token.substr(0, dot + 1) + base64url_encode(twin);
  ASSERT_EQ(verify_jws(*parse_jws(again), *parse_jwk_set(jwk_set({issuer_.key()}))),
            Verdict::kGood);
  EXPECT_EQ(refusal(again), "the ID token was used already: log in again");
}

TEST_F(LogIn, OfManyAtOnceWithOneIdTokenOneSucceeds) {
  const std::string token = id_token();
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 8; ++i)
      callers.emplace_back([&] {
        // Those that must not wait for the issuer's keys try again.
        while (true) {
          const auto done = log_in(token);
          good += done ? 1 : 0;
          if (done || done.error().code() != Code::kUnavailable) return;
        }
      });
  }
  EXPECT_EQ(good, 1);
}

TEST_F(LogIn, WhoMayNotAndWhoIsNotKnownAreToldTheSame) {
  const auto text = [](std::string message, const std::string& subject) {
    const size_t at = message.find(subject);
    return at == std::string::npos ? message : message.replace(at, subject.size(), "NAME");
  };
  const std::string unknown = text(refusal(id_token("nobody")), "nobody");
  pb::Account disabled = account("off", "off");
  disabled.mutable_spec()->set_disabled(true);
  put(disabled);
  EXPECT_EQ(text(refusal(id_token("off")), "off"), unknown);
  pb::Account orphan = account("orphan", "orphan");
  orphan.mutable_spec()->set_tenant("gone");
  put(orphan);
  EXPECT_EQ(text(refusal(id_token("orphan")), "orphan"), unknown);
  EXPECT_EQ(unknown,
            "subject \"NAME\" of https://id.example.org may not log in here: ask an "
            "administrator to name it in an account");
  EXPECT_EQ(desk_->refused(), 3u);
  EXPECT_EQ(store_->snapshot()->count(kind_of<pb::AccessToken>()), 0u);
}

TEST_F(LogIn, TheSubjectOfAnotherIssuerIsAnotherPerson) {
  pb::IdentityProvider other;
  other.mutable_metadata()->set_name("other");
  other.mutable_spec()->set_issuer("https://other.example.org");
  other.mutable_spec()->set_client_id(FakeIssuer::kClient);
  put(other);
  const auto done = log_in(id_token(), "other");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "the ID token is of another issuer (iss)");
}

TEST_F(LogIn, BadTokensAreRefusedWithTheReason) {
  const FakeKey& key = issuer_.key();
  const auto claims = [&](const char* name, const boost::json::value& value) {
    auto out = FakeIssuer::claims(clock_.wall());
    out[name] = value;
    return key.token(out);
  };
  EXPECT_EQ(refusal(""), "the ID token is not a signed token (three parts, separated by dots)");
  EXPECT_EQ(refusal(claims("aud", "other")), "the ID token was issued to another client (aud)");
  EXPECT_EQ(refusal(claims("exp", 1)), "the ID token has expired: log in again");
  EXPECT_EQ(refusal(claims("nonce", "n")), "the ID token belongs to another log-in (nonce)");
  EXPECT_EQ(
      refusal(FakeKey(JwsAlgorithm::kEs256, "first").token(FakeIssuer::claims(clock_.wall()))),
      "the ID token has a signature that is not its issuer's");
  EXPECT_EQ(refusal(FakeKey(JwsAlgorithm::kEs256, "else").token(FakeIssuer::claims(clock_.wall()))),
            "the ID token is signed by a key that its issuer does not have");
  EXPECT_EQ(log_in(id_token(), "none").error().code(), Code::kNotFound);
}

TEST_F(LogIn, NobodyIsAskedForWhatIsNotOurs) {
  const std::string jwks = std::string(FakeIssuer::kIssuer) + "/jwks";
  auto claims = FakeIssuer::claims(clock_.wall());
  claims["aud"] = "other";
  refusal(issuer_.key().token(claims));
  refusal("nonsense");
  EXPECT_EQ(issuer_.asked(jwks), 0u);
}

TEST_F(LogIn, AnIssuerThatIsAwayIsNotTheCallersFault) {
  issuer_.set_reachable(false);
  EXPECT_EQ(log_in(id_token()).error().code(), Code::kUnavailable);
}

TEST_F(LogIn, TriesAreCountedByAddress) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(log_in("bad").error().code(), Code::kUnauthenticated);
  EXPECT_EQ(log_in("bad").error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(log_in(id_token(), "corp", "grpc 198.51.100.9"));
  clock_.advance(seconds(1));
  EXPECT_TRUE(log_in(id_token()));
}

TEST_F(LogIn, ProvidersAreToldWithTheirScopes) {
  pb::ListProvidersResponse response;
  fill_providers(*store_->snapshot(), response);
  ASSERT_EQ(response.providers_size(), 1);
  EXPECT_EQ(response.providers(0).name(), "corp");
  EXPECT_EQ(response.providers(0).scopes(0), "openid");
}

}  // namespace
}  // namespace frameworks
