// Where the instances of a service with a count go, and why the rest go nowhere. Pure.
#pragma once

#include <string>
#include <vector>

#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

struct CountedPlan {
  std::vector<std::string> add;     // nodes that get an instance
  std::vector<std::string> remove;  // nodes that lose theirs
  int wanted = 0;
  int placed = 0;  // when add and remove are done
};

// Brings a counted service to its count, for each cluster or in all, moving nothing that need not
// move: instances stay, missing ones go to the part of the spread that has fewest, surplus ones are
// taken from the part that has most. Instances that their selectors forbid must be gone already.
CountedPlan plan_counted(const Snapshot& snapshot, const pb::Service& service);

// Why a service is not on more of its nodes: how many nodes each constraint excludes, and which one
// came closest. A clause, e.g. "3 nodes lack memory (closest: eu-edge-1 has 512 of the 1024 MiB),
// 1 labels". Empty when every node has one or could.
std::string why_not_more(const Snapshot& snapshot, const pb::Service& service);

}  // namespace frameworks
