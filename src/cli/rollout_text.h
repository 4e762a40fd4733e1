// Rollouts as commands show and follow them.
#pragma once

#include <string>

#include "cli/command.h"
#include "frameworks/v1/orchestration_api.grpc.pb.h"

namespace frameworks::cli {

// State, versions, and a line for each batch.
void print_rollout(const pb::Rollout& rollout, const Terminal& terminal, WallTime now);

// The service's rollout that is under way, else its newest; or the rollout of that name. kNotFound.
Result<pb::Rollout> find_rollout(Client& client, const std::string& service_or_rollout);
// Every rollout, of one service where it is given; the newest last.
Result<std::vector<pb::Rollout>> list_rollouts(Client& client, const std::string& service);

bool has_ended(const pb::Rollout& rollout);

// Tells of each step until it has ended; 4 unless it succeeded. `wanted`: how it shall end.
Result<int> follow_rollout(Context& context, Client& client, const std::string& rollout,
                           pb::RolloutState wanted = pb::ROLLOUT_STATE_SUCCEEDED);

}  // namespace frameworks::cli
