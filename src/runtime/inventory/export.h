// The fleet in the forms of other tools, as of one revision. Pure.
//
// Nothing is written that its reader could take for something else: text is escaped by the rules
// of its format, and what cannot be written in a format is left out and told in a comment.
#pragma once

#include <string>

#include "frameworks/v1/fleet_api.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// Fills content type, body and revision. kInvalidArgument for a filter that names what does not
// exist.
Status export_inventory(const Snapshot& snapshot, const pb::ExportInventoryRequest& request,
                        pb::ExportInventoryResponse& response);

}  // namespace frameworks
