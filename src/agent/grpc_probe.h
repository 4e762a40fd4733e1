// Checks by the health service of gRPC (grpc.health.v1.Health/Check), without TLS.
#pragma once

#include <string_view>

#include "agent/probe.h"

namespace frameworks {

// Answers SERVING: healthy. Every call has a connection of its own, as a new consumer would.
std::unique_ptr<ProbeAttempt> start_grpc_check(const pb::InstanceChecks::Probe& probe,
                                               MonoTime deadline);

// HealthCheckRequest {string service = 1} and HealthCheckResponse {enum status = 1} by hand: two
// fields are not worth another protocol's generated code. -1: the bytes are no such answer.
std::string health_request(std::string_view service);
int health_status(const std::string& answer);

}  // namespace frameworks
