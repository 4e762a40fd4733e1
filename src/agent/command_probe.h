// Checks that run a program on the node.
//
// The program gets no shell, no input and next to no environment; it runs as the agent does, in a
// process group of its own, which is killed when it takes too long and when the program has ended.
// What it prints is its reason: of it the first line counts.
#pragma once

#include "agent/probe.h"

namespace frameworks {

// Exit code 0: healthy, 1: degraded, others and signals: failing.
std::unique_ptr<ProbeAttempt> start_command(const pb::InstanceChecks::Probe& probe,
                                            MonoTime deadline);

}  // namespace frameworks
