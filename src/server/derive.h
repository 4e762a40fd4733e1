// What follows from the model, in order: nodes of pools, no tokens for accounts that are gone, the
// status of tenants and grants, then instances on nodes.
#pragma once

#include "store/store.h"

namespace frameworks {

// For Store::open(): runs after every edit, inside its transaction; work grows with what was
// written.
Status derive(Transaction& transaction);

// For the server's start: everything, so that a new version's rules hold for what is there already.
Status derive_everything(Transaction& transaction);

}  // namespace frameworks
