// Codes with which tenants get a grant by themselves: "fwi_<name>_<secret>", the name that of the
// Invite. The store has SHA-256 of the secret, which has 160 random bits. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/snapshot.h"

namespace frameworks {

struct NewInvite {
  std::string name;
  std::string code;       // shown once
  std::string code_hash;  // for the store
};
NewInvite make_invite();

// The invite whose code it is; nullptr when there is none. In time that does not tell whether the
// name or the secret was wrong.
const pb::Invite* find_invite(const Snapshot& snapshot, std::string_view code);

// Whether one more tenant, this one, may use it.
bool is_open_to(const pb::Invite& invite, std::string_view tenant, WallTime now);

// What it gives the tenant, by the name "<cluster>".
pb::Grant grant_of(const pb::Invite& invite, const std::string& tenant);

}  // namespace frameworks
