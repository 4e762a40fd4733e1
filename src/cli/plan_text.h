// A plan as people read it: layer by layer, with what changes and whom it touches.
#pragma once

#include "cli/terminal.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "model/kind.h"

namespace frameworks::cli {

enum class Detail { kChanges, kEverything };

// Fields of what is created or deleted are listed with kEverything only.
void print_plan(const pb::Plan& plan, const Terminal& terminal, Detail detail);

}  // namespace frameworks::cli
