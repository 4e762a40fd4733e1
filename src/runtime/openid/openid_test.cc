#include <gtest/gtest.h>

#include <openssl/err.h>

#include <thread>

#include "runtime/openid/fake_issuer.h"
#include "runtime/openid/id_token.h"
#include "runtime/openid/issuer.h"
#include "runtime/openid/jwk.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime kNow{seconds(1'800'000'000)};

const std::vector<FakeKey>& all_keys() {
  static const std::vector<FakeKey> keys{FakeKey(JwsAlgorithm::kRs256, "rsa"),
                                         FakeKey(JwsAlgorithm::kEs256, "ec"),
                                         FakeKey(JwsAlgorithm::kEdDsa, "ed")};
  return keys;
}
std::vector<Jwk> public_keys(const std::vector<FakeKey>& keys) {
  return *parse_jwk_set(jwk_set(keys));
}
std::string refusal(std::string_view token) {
  const auto jws = parse_jws(token);
  return jws ? "taken" : jws.error().message();
}

TEST(Jws, TakesTheThreeAlgorithmsAndVerifiesEachWithItsKey) {
  const auto keys = public_keys(all_keys());
  ASSERT_EQ(keys.size(), 3u);
  for (const FakeKey& key : all_keys()) {
    const auto jws = parse_jws(key.token(FakeIssuer::claims(kNow)));
    ASSERT_TRUE(jws) << jws.error().message();
    EXPECT_EQ(jws->key_id, key.id());
    EXPECT_EQ(string_member(jws->payload, "sub"), "ada");
    EXPECT_EQ(verify_jws(*jws, keys), Verdict::kGood) << key.algorithm_name();
  }
}

TEST(Jws, AChangedByteAnywhereIsSeen) {
  const auto keys = public_keys(all_keys());
  for (const FakeKey& key : all_keys()) {
    const std::string token = key.token(FakeIssuer::claims(kNow));
    for (size_t i = 0; i < token.size(); ++i) {
      std::string changed = token;
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      const auto jws = parse_jws(changed);
      EXPECT_FALSE(jws && verify_jws(*jws, keys) == Verdict::kGood) << key.id() << " at " << i;
    }
  }
  EXPECT_EQ(ERR_peek_error(), 0u);  // would break the thread's next TLS connection
}

TEST(Jws, TruncatedTokensAreRefused) {
  const auto keys = public_keys(all_keys());
  const std::string token = all_keys()[1].token(FakeIssuer::claims(kNow));
  for (size_t size = 0; size < token.size(); ++size) {
    const auto jws = parse_jws(std::string_view(token).substr(0, size));
    EXPECT_FALSE(jws && verify_jws(*jws, keys) == Verdict::kGood) << size;
  }
}

TEST(Jws, NoneSharedKeysAndOtherAlgorithmsAreRefused) {
  const std::string payload = json::serialize(FakeIssuer::claims(kNow));
  for (const char* algorithm : {"none", "None", "NONE", "HS256", "HS512", "RS384", "PS256", "ES384",
                                "ES256K", "rs256", "", "RS256 "}) {
    const std::string header = json::serialize(json::object{{"alg", algorithm}});
    EXPECT_EQ(refusal(all_keys()[0].token(header, payload)),
              "is not signed by RS256, ES256 or EdDSA")
        << algorithm;
    // "none" comes with no signature.
    EXPECT_NE(refusal(base64url_encode(header) + "." + base64url_encode(payload) + "."), "taken");
  }
  EXPECT_EQ(refusal(all_keys()[0].token(R"({"typ":"JWT"})", payload)),
            "is not signed by RS256, ES256 or EdDSA");
}

TEST(Jws, TheAlgorithmIsTheKeysNotTheHeaders) {
  // RSA's key asked to check what says ES256, and an HMAC with the public key as its secret.
  const auto keys = public_keys(all_keys());
  const std::string payload = json::serialize(FakeIssuer::claims(kNow));
  for (const FakeKey& key : all_keys())
    for (const char* algorithm : {"RS256", "ES256", "EdDSA"}) {
      if (algorithm == key.algorithm_name()) continue;
      const auto jws = parse_jws(
          key.token(json::serialize(json::object{{"alg", algorithm}, {"kid", key.id()}}), payload));
      ASSERT_TRUE(jws);
      EXPECT_EQ(verify_jws(*jws, keys), Verdict::kNoKey) << key.id() << " as " << algorithm;
    }
}

TEST(Jws, AKeyOfSomebodyElseIsRefused) {
  const FakeKey other(JwsAlgorithm::kEs256, "ec");
  const auto jws = parse_jws(other.token(FakeIssuer::claims(kNow)));
  EXPECT_EQ(verify_jws(*jws, public_keys(all_keys())), Verdict::kBad);
}

TEST(Jws, KeysInTheTokenItselfAreNotUsed) {
  const FakeKey own(JwsAlgorithm::kEs256, "");
  json::object header{{"alg", "ES256"}, {"jwk", own.jwk()}, {"jku", "https://evil.example/jwks"}};
  const auto jws =
      parse_jws(own.token(json::serialize(header), json::serialize(FakeIssuer::claims(kNow))));
  ASSERT_TRUE(jws);
  EXPECT_EQ(verify_jws(*jws, public_keys(all_keys())), Verdict::kBad);
}

TEST(Jws, WithoutAKeyIdOnlyOneKeyMayBeMeant) {
  const FakeKey key(JwsAlgorithm::kEs256, "");
  const auto jws = parse_jws(key.token(FakeIssuer::claims(kNow)));
  EXPECT_EQ(verify_jws(*jws, public_keys({key})), Verdict::kGood);
  EXPECT_EQ(verify_jws(*jws, public_keys({key, FakeKey(JwsAlgorithm::kEs256, "b")})),
            Verdict::kNoKey);
  EXPECT_EQ(verify_jws(*jws, {}), Verdict::kNoKey);
}

TEST(Jws, HeadersAreStrict) {
  const std::string payload = "{}";
  const auto with = [&](const std::string& header) {
    return refusal(all_keys()[1].token(header, payload));
  };
  EXPECT_EQ(with(R"({"alg":"ES256"})"), "taken");
  EXPECT_EQ(with(R"({"alg":"ES256","typ":"jwt"})"), "taken");
  EXPECT_EQ(with(R"({"alg":"ES256","typ":"at+jwt"})"), "is a token of another type (typ)");
  EXPECT_EQ(with(R"({"alg":"ES256","typ":7})"), "is a token of another type (typ)");
  EXPECT_NE(with(R"({"alg":"ES256","crit":["b64"],"b64":false})"), "taken");
  EXPECT_NE(with(R"({"alg":"ES256","kid":5})"), "taken");
  EXPECT_NE(with(R"({"alg":"ES256","kid":""})"), "taken");
  EXPECT_EQ(with(R"({"alg":"ES256","alg":"none"})"), "has a header that names a member twice");
  EXPECT_EQ(with(R"({"alg":"ES256","x":{"a":1,"a":2}})"), "has a header that names a member twice");
  EXPECT_EQ(with(R"(["ES256"])"), "has a header that is not a JSON object");
  EXPECT_EQ(with(R"({"alg":"ES256"} x)"), "has a header that is not JSON");
}

TEST(Jws, PayloadsAreStrictAndBounded) {
  const FakeKey& key = all_keys()[1];
  const std::string header = R"({"alg":"ES256"})";
  EXPECT_EQ(refusal(key.token(header, R"({"sub":"ada","sub":"eve"})")),
            "has a payload that names a member twice");
  EXPECT_EQ(refusal(key.token(header, R"({"s\u0075b":"ada","sub":"eve"})")),
            "has a payload that names a member twice");
  EXPECT_EQ(refusal(key.token(header, "ada")), "has a payload that is not JSON");
  EXPECT_EQ(refusal(key.token(header, std::string("{\"a\":\"\xff\"}"))),
            "has a payload that is not JSON");
  const std::string deep = "{\"a\":" + std::string(500, '[') + std::string(500, ']') + "}";
  EXPECT_EQ(refusal(key.token(header, deep)), "has a payload that is not JSON");
  const std::string huge = key.token(header, "{\"a\":\"" + std::string(20'000, 'x') + "\"}");
  EXPECT_EQ(refusal(huge), fmt::format("has {} characters (at most 16384)", huge.size()));
  for (const char* text :
       {"", ".", "..", "...", "a.b", "a.b.c.d.e", "!.!.!", "e30.e30.", "e30.e30.="})
    EXPECT_NE(refusal(text), "taken") << text;
  const std::string token = key.token(header, "{}");
  EXPECT_NE(refusal(token + "="), "taken");
  EXPECT_NE(refusal(token + "\n"), "taken");
  EXPECT_NE(refusal(" " + token), "taken");
}

TEST(Jws, Base64UrlHasOneTextForEachValue) {
  EXPECT_EQ(*base64url_decode(""), "");
  EXPECT_EQ(*base64url_decode("Zg"), "f");
  EXPECT_EQ(*base64url_decode("_-8"), "\xff\xef");
  for (const char* text : {"Z", "Zh", "Zg==", "Zg=", "Z g", "+w", "/w", "Zm9vY"})
    EXPECT_FALSE(base64url_decode(text)) << text;
}

TEST(JwkSet, LeavesOutWhatIsNotForSignaturesWeTake) {
  const auto kept = [](json::object key) {
    return public_keys({}).size() +
           parse_jwk_set(json::serialize(json::object{{"keys", json::array{std::move(key)}}}))
               ->size();
  };
  const json::object rsa = all_keys()[0].jwk();
  const json::object ec = all_keys()[1].jwk();
  const auto with = [](json::object key, const char* name, const json::value& value) {
    key[name] = value;
    return key;
  };
  EXPECT_EQ(kept(rsa), 1u);
  EXPECT_EQ(kept(with(rsa, "use", "enc")), 0u);
  EXPECT_EQ(kept(with(rsa, "alg", "PS256")), 0u);
  EXPECT_EQ(kept(with(rsa, "alg", "HS256")), 0u);
  EXPECT_EQ(kept(with(rsa, "kty", "oct")), 0u);
  EXPECT_EQ(kept(with(rsa, "key_ops", json::array{"verify"})), 1u);
  EXPECT_EQ(kept(with(rsa, "key_ops", json::array{"encrypt"})), 0u);
  EXPECT_EQ(kept(with(rsa, "n", "AQAB")), 0u);
  EXPECT_EQ(kept(with(rsa, "e", "AQ")), 0u);  // 1: every text is a signature
  EXPECT_EQ(kept(with(rsa, "e", "Ag")), 0u);
  EXPECT_EQ(kept(with(ec, "crv", "P-384")), 0u);
  EXPECT_EQ(kept(with(ec, "y", ec.at("x"))), 0u);  // not on the curve
  EXPECT_EQ(kept(FakeKey(JwsAlgorithm::kRs256, "small", 1024).jwk()), 0u);
  EXPECT_EQ(kept({}), 0u);
  EXPECT_FALSE(parse_jwk_set("{}"));
  EXPECT_FALSE(parse_jwk_set("[]"));
  EXPECT_FALSE(parse_jwk_set(R"({"keys":{}})"));
  json::array many(65, json::object());
  EXPECT_FALSE(parse_jwk_set(json::serialize(json::object{{"keys", many}})));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

std::string verdict(const json::object& claims, const std::string& nonce = "") {
  const auto subject =
      check_id_token(claims, {FakeIssuer::kIssuer, FakeIssuer::kClient, nonce, kNow});
  return subject ? *subject : subject.error().message();
}
json::object changed(const char* name, const json::value& value) {
  json::object claims = FakeIssuer::claims(kNow);
  claims[name] = value;
  return claims;
}
json::object without(const char* name) {
  json::object claims = FakeIssuer::claims(kNow);
  claims.erase(name);
  return claims;
}
int64_t at(seconds offset) {
  return std::chrono::duration_cast<seconds>((kNow + offset).time_since_epoch()).count();
}

TEST(IdToken, SaysWhoItIs) { EXPECT_EQ(verdict(FakeIssuer::claims(kNow)), "ada"); }

TEST(IdToken, IsOfItsIssuer) {
  EXPECT_EQ(verdict(changed("iss", "https://id.example.org/")), "is of another issuer (iss)");
  EXPECT_EQ(verdict(changed("iss", 5)), "is of another issuer (iss)");
  EXPECT_EQ(verdict(without("iss")), "is of another issuer (iss)");
}

TEST(IdToken, IsForUs) {
  EXPECT_EQ(verdict(changed("aud", json::array{"frameworks"})), "ada");
  EXPECT_EQ(verdict(changed("aud", "other")), "was issued to another client (aud)");
  EXPECT_EQ(verdict(changed("aud", json::array{})), "was issued to another client (aud)");
  EXPECT_EQ(verdict(changed("aud", json::array{"frameworks", 7})),
            "has an audience that is no text (aud)");
  EXPECT_EQ(verdict(without("aud")), "was issued to another client (aud)");
  json::object several = changed("aud", json::array{"other", "frameworks"});
  EXPECT_EQ(verdict(several), "has several audiences, and no authorized party (azp)");
  several["azp"] = "other";
  EXPECT_EQ(verdict(several), "was issued to another authorized party (azp)");
  several["azp"] = "frameworks";
  EXPECT_EQ(verdict(several), "ada");
  EXPECT_EQ(verdict(changed("azp", "other")), "was issued to another authorized party (azp)");
  EXPECT_EQ(verdict(changed("azp", nullptr)), "was issued to another authorized party (azp)");
}

TEST(IdToken, IsOfNowWithinAMinuteOfClocks) {
  EXPECT_EQ(verdict(changed("exp", at(seconds(-59)))), "ada");
  EXPECT_EQ(verdict(changed("exp", at(seconds(-60)))), "has expired: log in again");
  EXPECT_EQ(verdict(changed("iat", at(seconds(60)))), "ada");
  EXPECT_EQ(verdict(changed("iat", at(seconds(61)))), "is of the future (iat): check the clocks");
  EXPECT_EQ(verdict(changed("iat", at(-minutes(10)))), "ada");
  EXPECT_EQ(verdict(changed("iat", at(-minutes(11)))),
            "was issued more than 10 minutes ago: log in again");
  EXPECT_EQ(verdict(changed("nbf", at(seconds(60)))), "ada");
  EXPECT_EQ(verdict(changed("nbf", at(seconds(61)))), "is not good yet (nbf): check the clocks");
  EXPECT_EQ(verdict(changed("nbf", "soon")), "is not good yet (nbf): check the clocks");
  for (const json::value& value : {json::value("1800000300"), json::value(-1), json::value(1e300),
                                   json::value(nullptr), json::value(json::array{})}) {
    EXPECT_EQ(verdict(changed("exp", value)), "does not say when it expires (exp)");
    EXPECT_EQ(verdict(changed("iat", value)), "does not say when it was issued (iat)");
  }
  EXPECT_EQ(verdict(without("exp")), "does not say when it expires (exp)");
  EXPECT_EQ(verdict(without("iat")), "does not say when it was issued (iat)");
}

TEST(IdToken, IsOfThisLogIn) {
  EXPECT_EQ(verdict(changed("nonce", "n1"), "n1"), "ada");
  const char* refused = "belongs to another log-in (nonce)";
  EXPECT_EQ(verdict(changed("nonce", "n1"), "n2"), refused);
  EXPECT_EQ(verdict(changed("nonce", "n1")), refused);
  EXPECT_EQ(verdict(FakeIssuer::claims(kNow), "n1"), refused);
  EXPECT_EQ(verdict(changed("nonce", 5)), refused);
}

TEST(IdToken, NamesSomebodyPrintable) {
  EXPECT_EQ(verdict(without("sub")), "names nobody (sub)");
  for (const char* subject : {"", "a\nb", "\x1b[2J", "\u00e4"})
    EXPECT_EQ(verdict(changed("sub", subject)), "names nobody (sub)");
  EXPECT_EQ(verdict(changed("sub", json::string(256, 'x'))), "names nobody (sub)");
}

TEST(IssuerMetadata, IsOfTheIssuerThatWasAskedAndAsSafe) {
  const auto problem = [](const json::object& document, const char* issuer) {
    const auto parsed = parse_issuer_metadata(json::serialize(document), issuer);
    return parsed ? std::string("taken") : parsed.error().message();
  };
  const char* own = "https://id.example.org";
  EXPECT_EQ(problem({{"issuer", own}, {"jwks_uri", "https://keys.example.org/"}}, own), "taken");
  EXPECT_NE(problem({{"issuer", "https://evil.example"}, {"jwks_uri", "https://a/"}}, own),
            "taken");
  EXPECT_NE(problem({{"issuer", own}}, own), "taken");
  EXPECT_NE(problem({{"issuer", own}, {"jwks_uri", "http://id.example.org/"}}, own), "taken");
  EXPECT_NE(problem({{"issuer", own}, {"jwks_uri", "http://127.0.0.1/"}}, own), "taken");
  EXPECT_NE(problem({{"issuer", own}, {"jwks_uri", "file:///etc/passwd"}}, own), "taken");
  EXPECT_NE(problem({{"issuer", own}, {"jwks_uri", "https://a@b/"}}, own), "taken");
  const char* local = "http://127.0.0.1:8080";
  EXPECT_EQ(problem({{"issuer", local}, {"jwks_uri", "http://127.0.0.1:8080/jwks"}}, local),
            "taken");
}

class Keys : public ::testing::Test {
 protected:
  Status verify(const FakeKey& key) {
    return keys_.verify(FakeIssuer::kIssuer,
                        *parse_jws(key.token(FakeIssuer::claims(clock_.wall()))));
  }
  size_t asked() { return issuer_.asked(std::string(FakeIssuer::kIssuer) + "/jwks"); }

  FakeIssuer issuer_;
  ManualClock clock_;
  IssuerKeys keys_{issuer_, clock_};
};

TEST_F(Keys, AreAskedForOnceAnHour) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(verify(issuer_.key()));
  EXPECT_EQ(asked(), 1u);
  clock_.advance(std::chrono::hours(1));
  EXPECT_TRUE(verify(issuer_.key()));
  EXPECT_EQ(asked(), 2u);
}

TEST_F(Keys, AreAskedForWhenTheIssuerHasNewOnesButNotMoreOftenThanThePause) {
  ASSERT_TRUE(verify(issuer_.key()));
  const FakeKey old = issuer_.key();
  const FakeKey next(JwsAlgorithm::kRs256, "second");
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(verify(next));
  EXPECT_EQ(asked(), 1u);  // within the pause
  issuer_.set_keys({next});
  clock_.advance(seconds(10));
  EXPECT_TRUE(verify(next));
  EXPECT_EQ(asked(), 2u);
  clock_.advance(seconds(10));
  const auto gone = verify(old);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().message(), "is signed by a key that its issuer does not have");
  EXPECT_EQ(gone.error().code(), Code::kUnauthenticated);
}

TEST_F(Keys, OfAnIssuerThatIsAwayAreNotKnown) {
  issuer_.set_reachable(false);
  const auto away = verify(issuer_.key());
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code(), Code::kUnavailable);
  issuer_.set_reachable(true);
  EXPECT_FALSE(verify(issuer_.key()));  // not asked again so soon
  clock_.advance(seconds(10));
  EXPECT_TRUE(verify(issuer_.key()));
  // What is at hand serves while the issuer is away, until it is old.
  issuer_.set_reachable(false);
  clock_.advance(minutes(59));
  EXPECT_TRUE(verify(issuer_.key()));
  clock_.advance(minutes(1));
  EXPECT_EQ(verify(issuer_.key()).error().code(), Code::kUnavailable);
}

TEST_F(Keys, BadSignaturesAreTold) {
  const FakeKey other(JwsAlgorithm::kEs256, "first");
  const auto bad = verify(other);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message(), "has a signature that is not its issuer's");
}

// Answers when it is let.
class SlowIssuer final : public WebClient {
 public:
  explicit SlowIssuer(FakeIssuer& issuer) : issuer_(issuer) {}
  Result<WebAnswer> ask(const WebRequest& request) override {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, request.stop, [&] { return open_; });
    if (request.stop.stop_requested()) return Error(Code::kCancelled, "stopped");
    return issuer_.ask(request);
  }
  void await_caller() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  FakeIssuer& issuer_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int waiting_ = 0;
  bool open_ = false;
};

TEST(SlowIssuers, TakeAFewCallersAtATimeAndAreAskedOnceForAll) {
  FakeIssuer issuer;
  SlowIssuer slow(issuer);
  ManualClock clock;
  IssuerKeys keys(slow, clock);
  const Jws jws = *parse_jws(issuer.key().token(FakeIssuer::claims(clock.wall())));
  std::atomic<int> good{0}, busy{0};
  std::vector<std::jthread> callers;
  callers.emplace_back([&] { good += keys.verify(FakeIssuer::kIssuer, jws) ? 1 : 0; });
  slow.await_caller();
  for (int i = 0; i < 10; ++i)
    callers.emplace_back([&] {
      const auto done = keys.verify(FakeIssuer::kIssuer, jws);
      good += done ? 1 : 0;
      busy += !done && done.error().code() == Code::kUnavailable ? 1 : 0;
    });
  while (busy < 8) std::this_thread::yield();  // three wait
  slow.open();
  callers.clear();
  EXPECT_EQ(good, 3);
  EXPECT_EQ(busy, 8);
  EXPECT_EQ(issuer.asked(std::string(FakeIssuer::kIssuer) + "/jwks"), 1u);
}

TEST(SlowIssuers, DoNotHoldUpAStop) {
  FakeIssuer issuer;
  SlowIssuer slow(issuer);
  ManualClock clock;
  IssuerKeys keys(slow, clock);
  const Jws jws = *parse_jws(issuer.key().token(FakeIssuer::claims(clock.wall())));
  std::jthread caller([&] { EXPECT_FALSE(keys.verify(FakeIssuer::kIssuer, jws)); });
  slow.await_caller();
  keys.stop();
}

}  // namespace
}  // namespace frameworks
