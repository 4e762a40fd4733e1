// What issuers of identities send, and what is read from the key file and the database.
#include "base/seal.h"
#include "base/web_url.h"
#include "runtime/openid/device_flow.h"
#include "runtime/openid/id_token.h"
#include "runtime/openid/issuer.h"
#include "runtime/openid/jwk.h"
#include "target.h"

namespace frameworks {
namespace {

void id_token(std::string_view bytes) {
  const auto jws = parse_jws(bytes);
  if (!jws) return;
  CHECK(bytes.size() <= kMaxJwsSize && bytes.starts_with(jws->signed_text + "."));
  CHECK(!jws->signature.empty());
  CHECK(verify_jws(*jws, {}) == Verdict::kNoKey);
  const auto subject =
      check_id_token(jws->payload, {"https://id.example.org", "frameworks", "", WallTime{}});
  if (subject) CHECK(!subject->empty() && subject->size() <= 255);
}

void jwk_set(std::string_view bytes) {
  const auto keys = parse_jwk_set(bytes);
  if (!keys) return;
  Jws jws;
  jws.signed_text = "e30.e30";
  jws.signature = std::string(64, 'x');
  for (const Jwk& key : *keys) {
    CHECK(key.key != nullptr);
    jws.algorithm = key.algorithm;
    jws.key_id = key.id;
    CHECK(verify_jws(jws, *keys) != Verdict::kGood);
  }
}

void issuer_answers(std::string_view bytes) {
  constexpr std::string_view kIssuer = "https://id.example.org";
  if (const auto metadata = parse_issuer_metadata(bytes, kIssuer)) {
    CHECK(metadata->issuer == kIssuer);
    CHECK(parse_web_url(metadata->jwks_uri)->tls);
  }
  if (const auto code = parse_device_code(bytes)) {
    CHECK(parse_web_url(code->uri).has_value());
    for (const char c : code->user_code) CHECK(c >= 0x20 && c < 0x7f);
    CHECK(code->interval.count() > 0 && code->expires.count() > 0);
  }
}

void web_url(std::string_view bytes) {
  const auto url = parse_web_url(bytes);
  if (!url) return;
  CHECK(!url->host.empty() && url->port >= 0 && url->port <= 65535);
  CHECK(bytes.starts_with(url->tls ? "https://" : "http://"));
  CHECK(bytes.find_first_of("@#\\ ") == std::string_view::npos);
}

void sealed_value(std::string_view bytes) {
  static const SealKeys keys = SealKeys::make();
  CHECK(!keys.open(bytes, "place"));
  if (const auto parsed = SealKeys::parse(bytes))
    CHECK(SealKeys::parse(parsed->text())->text() == parsed->text());
  const std::string sealed = keys.seal(bytes, "place");
  CHECK(*keys.open(sealed, "place") == bytes);
}

}  // namespace

void add_openid_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"id_token", id_token},
                         {"issuer_answers", issuer_answers},
                         {"jwk_set", jwk_set},
                         {"sealed_value", sealed_value},
                         {"web_url", web_url}});
}

}  // namespace frameworks
