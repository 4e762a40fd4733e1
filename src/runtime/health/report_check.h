// Whether what an agent reports is its to tell. Agents are not trusted with more than their node.
#pragma once

#include <string>

#include "frameworks/v1/agent.pb.h"
#include "model/snapshot.h"
#include "runtime/health/instance_verdict.h"

namespace frameworks {

// The node whose health the report concerns; empty: the report is to be dropped. Of an instance of
// its own a node tells of the checks that it was given, of others' of those that it was asked to
// make from outside.
std::string node_to_judge(const Snapshot& snapshot, const std::string& reporter,
                          const pb::CheckReport& report);

// At most so many bytes of a text, in whole characters.
std::string bounded_text(std::string text, size_t size);

// What it says, of bounded size.
CheckWord word_of(const pb::CheckReport& report);

}  // namespace frameworks
