#include "runtime/tenants/invite.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr std::string_view kPrefix = "fwi_";
constexpr size_t kNameBytes = 6;
constexpr size_t kSecretBytes = 20;

}  // namespace

NewInvite make_invite() {
  NewInvite out;
  out.name = hex_encode(random_bytes(kNameBytes));
  const std::string secret = hex_encode(random_bytes(kSecretBytes));
  out.code = fmt::format("{}{}_{}", kPrefix, out.name, secret);
  out.code_hash = sha256_hex(secret);
  return out;
}

const pb::Invite* find_invite(const Snapshot& snapshot, std::string_view code) {
  std::string_view name, secret;
  if (code.starts_with(kPrefix)) {
    code.remove_prefix(kPrefix.size());
    const size_t end = code.find('_');
    name = code.substr(0, end);
    if (end != std::string_view::npos) secret = code.substr(end + 1);
  }
  const auto* found = snapshot.find<pb::Invite>(name);
  static const std::string kNoHash(64, '0');
  const std::string& hash = found == nullptr ? kNoHash : found->spec().code_hash();
  return equal_secrets(sha256_hex(secret), hash) ? found : nullptr;
}

bool is_open_to(const pb::Invite& invite, std::string_view tenant, WallTime now) {
  const pb::InviteSpec& spec = invite.spec();
  const auto since_epoch = std::chrono::seconds(spec.expire_time().seconds()) +
                           std::chrono::nanoseconds(spec.expire_time().nanos());
  if (spec.has_expire_time() && since_epoch <= now.time_since_epoch()) return false;
  if (invite.status().uses() >= std::max(1, spec.max_uses())) return false;
  return spec.tenant().empty() || spec.tenant() == tenant;
}

pb::Grant grant_of(const pb::Invite& invite, const std::string& tenant) {
  pb::Grant out;
  out.mutable_metadata()->set_name(invite.spec().cluster());
  out.mutable_metadata()->set_tenant(tenant);
  out.mutable_spec()->set_cluster(invite.spec().cluster());
  out.mutable_spec()->set_level(invite.spec().level());
  *out.mutable_spec()->mutable_limits() = invite.spec().limits();
  out.mutable_spec()->set_approval(pb::APPROVAL_APPROVED);
  out.mutable_spec()->set_invite(invite.metadata().name());
  return out;
}

}  // namespace frameworks
