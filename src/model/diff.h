// What differs between two versions of a resource, field by field.
#pragma once

#include <vector>

#include "frameworks/v1/fleet_api.pb.h"
#include "model/kind.h"

namespace frameworks {

// Labels, annotations and spec, in order of the message's fields. `before` null: created; `after`
// null: deleted. Lists of plain values are compared whole, lists of messages entry by entry. Values
// are JSON text; a secret reads "(secret)" on the sides where it is set.
std::vector<pb::FieldChange> diff(const Message* before, const Message* after);
// The same of status too, and of the metadata that says what became of the resource: uid,
// finalizers, deletion time.
std::vector<pb::FieldChange> diff_all(const Message& before, const Message& after);

}  // namespace frameworks
