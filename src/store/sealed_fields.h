// Fields that are kept sealed (FieldRules.sealed): strings, and maps to strings, of any kind's
// spec.
//
// The store seals them in Transaction::put(), so that snapshots, the log, watchers, audit and
// backups have sealed values only. A value is bound to kind, tenant, name and field: put elsewhere
// it does not open. Pure.
#pragma once

#include "base/seal.h"
#include "model/kind.h"

namespace frameworks {

// Cheap; false for all but a few kinds.
bool has_sealed_fields(const Kind& kind);

// Seals what is not sealed. A value that is what `current` (may be null) has sealed becomes that
// again, so that writing the same secret is writing nothing.
void seal_fields(const SealKeys& keys, const Kind& kind, const Message* current, Message& message);

// The resource with its values as they were given. kNotFound: sealed by a key that is not here;
// kDataLoss: broken. The message names the field, never what is in it.
Result<Resource> open_fields(const SealKeys& keys, const Resource& resource);

// The resource sealed by the newest key. Errors as open_fields().
Result<Resource> reseal_fields(const SealKeys& keys, const Resource& resource);

// Whether all that the fleet keeps sealed opens; the error names the first that does not.
Status check_sealed(const SealKeys& keys, const Snapshot& snapshot);

}  // namespace frameworks
