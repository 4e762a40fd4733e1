// What a server measures of the fleet and of who comes to it. Names and meanings: metric_list.cc.
#pragma once

#include "runtime/access/login_desk.h"
#include "runtime/access/token_desk.h"
#include "runtime/sessions/join.h"
#include "runtime/sessions/sessions.h"
#include "server/metrics.h"
#include "store/store.h"

namespace frameworks {

// All must outlive the metrics.
struct MeasuredServer {
  const Store& store;
  const Sessions& sessions;
  const JoinDesk& join_desk;
  const TokenDesk& token_desk;
  const LoginDesk& login_desk;
};

void add_server_metrics(Metrics& metrics, const MeasuredServer& server);

}  // namespace frameworks
