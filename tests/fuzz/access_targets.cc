// What lets somebody in: tokens of accounts, join tokens, certificate requests, identities.
#include "base/error.h"
#include "base/file.h"
#include "frameworks/v1/node.pb.h"
#include "machine/certificates/authority.h"
#include "runtime/access/token.h"
#include "runtime/sessions/join.h"
#include "target.h"

namespace frameworks {
namespace {

constexpr WallTime kNow{};

const Snapshot& fleet() {
  static const Snapshot& snapshot = *[] {
    auto* out = new Snapshot;
    pb::Account account;
    account.mutable_metadata()->set_name("one");
    account.mutable_spec()->set_role(pb::ROLE_ADMIN);
    out->put(Resource::of(std::move(account)));
    pb::AccessToken token;
    token.mutable_metadata()->set_name("0123456789ab");
    token.mutable_spec()->set_account("one");
    token.mutable_spec()->set_secret_hash(std::string(64, 'f'));
    out->put(Resource::of(std::move(token)));
    return out;
  }();
  return snapshot;
}

// Nobody gets in who has not the secret.
void account_token(std::string_view bytes) {
  if (const auto parts = parse_token(bytes)) CHECK(!parts->name.empty());
  CHECK(verify_token(fleet(), bytes, kNow).refusal.has_value());
}

// The node's name up to a line end, then the token.
void join_token(std::string_view bytes) {
  const size_t line = std::min(bytes.find('\n'), bytes.size());
  CHECK(check_join(fleet(), bytes.substr(std::min(bytes.size(), line + 1)), bytes.substr(0, line),
                   kNow)
            .has_value());
}

const Authority& authority() {
  static const Authority& made = *[] {
    const auto directory = TemporaryDirectory::make();
    return new Authority(std::move(*Authority::load_or_create(directory->path(), system_clock())));
  }();
  return made;
}

void certificate_request(std::string_view bytes) {
  const auto issued = authority().sign_node(bytes, "edge-1");
  if (issued) CHECK(!issued->pem.empty() && !issued->serial.empty());
}

void node_identity_uri(std::string_view bytes) {
  const std::string node = node_of_identity(bytes);
  if (!node.empty()) CHECK(node_identity(node) == bytes);
}

}  // namespace

void add_access_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"account_token", account_token},
                         {"join_token", join_token},
                         {"certificate_request", certificate_request},
                         {"node_identity", node_identity_uri}});
}

}  // namespace frameworks
