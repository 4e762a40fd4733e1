// The status of tenants and grants that follows from their spec at once.
#pragma once

#include "store/store.h"

namespace frameworks {

// For Store::open(): the state of every grant that changed, and for every tenant that changed the
// list of its custom domains: those that are new are pending, with the challenge that proves them.
// What follows later (an expiry, a domain's verification, the end of a deletion) is TenantKeeper's.
Status derive_tenants(Transaction& transaction);

}  // namespace frameworks
