// Where people log in. Written by administrators.
#include <fmt/format.h>

#include <algorithm>

#include "base/web_url.h"
#include "frameworks/v1/access.pb.h"
#include "model/kinds.h"

namespace frameworks {
namespace {

// Longer than an ID token buys a log-in: the access token's name tells that it was used.
constexpr int64_t kLeastTokenSeconds = 900;

void validate(const pb::IdentityProvider& provider, Validation& out) {
  const pb::IdentityProviderSpec& spec = provider.spec();
  if (const auto url = parse_web_url(spec.issuer()); !spec.issuer().empty() && !url)
    out.fail("spec.issuer", fmt::format("\"{}\" {}", spec.issuer(), url.error().message()));
  if (spec.issuer().find('?') != std::string::npos)
    out.fail("spec.issuer", fmt::format("\"{}\" has a query: an issuer has none", spec.issuer()));
  const auto& scopes = spec.scopes();
  if (!scopes.empty() && std::find(scopes.begin(), scopes.end(), "openid") == scopes.end())
    out.fail("spec.scopes", "lacks \"openid\": without it there is no ID token");
  if (spec.token_seconds() != 0 && spec.token_seconds() < kLeastTokenSeconds)
    out.fail("spec.tokenSeconds", fmt::format("{} s is too short: at least {} s",
                                              spec.token_seconds(), kLeastTokenSeconds));
}

}  // namespace

Kind identity_provider_kind() {
  return make_kind<pb::IdentityProvider>({
      .defaults = nullptr,
      .validate = validate,
      .columns = {{"NAME", [](const auto& p) { return p.metadata().name(); }},
                  {"ISSUER", [](const auto& p) { return p.spec().issuer(); }},
                  {"CLIENT ID", [](const auto& p) { return p.spec().client_id(); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
