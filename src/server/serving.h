// What both transports need to serve the API.
#pragma once

#include "server/api.h"
#include "server/authentication.h"
#include "server/metrics.h"
#include "server/workers.h"

namespace frameworks {

struct ApiServing {
  const Api& api;
  const Authentication& authentication;
  Workers& workers;
  Workers& streams;  // what streams have to say: apart, so that many watchers delay no call
  Metrics& metrics;
};

}  // namespace frameworks
