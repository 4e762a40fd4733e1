// What happens after a write: show its plan, follow its operation.
#pragma once

#include "cli/command.h"

namespace frameworks::cli {

enum class Follow { kToTheEnd, kNot };

Result<int> show_written(Context& context, Client& client, const pb::ApplyResponse& response,
                         bool dry_run, Follow follow);

}  // namespace frameworks::cli
