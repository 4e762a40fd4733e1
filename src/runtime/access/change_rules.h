// Who may change what, beside a method's role: administrators write accounts, secrets and identity
// providers; a caller that is bound to a tenant writes machines of the clusters that it manages,
// configures nodes of those that it operates, and takes back what it was given. Pure.
//
// What a caller may not see is refused exactly as if it did not exist.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/access.pb.h"
#include "runtime/access/visibility.h"
#include "store/store.h"

namespace frameworks {

// Whether only administrators write the kind.
bool is_for_administrators(const Kind& kind);

// What of `items` the caller may not write, one violation each; `visibility` of the fleet before.
// kPermissionDenied when the kinds alone are too much for the caller.
Status check_items(pb::Role role, const Visibility& visibility, std::span<const Resource> items);

// kNotFound also for what is not seen.
Status check_removal(pb::Role role, const Visibility& visibility, const ResourceKey& key);

// For Store::open(): tokens go with their account, so that one of the same name that comes later
// does not inherit them.
Status derive_tokens(Transaction& transaction);

// How everything answers for what is not there.
Error not_found(const ResourceKey& key);

}  // namespace frameworks
