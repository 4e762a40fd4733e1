// Which contexts a change touches, told by marks: a context depends on the marks of its tenant, of
// the clusters it has grants to, and of the services there. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/snapshot.h"
#include "store/log.h"

namespace frameworks {

// A mark is a place in a table of this size, chosen by a hash: two names may share one, and then
// each is touched with the other, which costs work and is never wrong.
inline constexpr uint32_t kContextMarks = 1U << 20;
using ContextMark = uint32_t;

ContextMark tenant_mark(std::string_view tenant);
ContextMark cluster_mark(std::string_view cluster);
ContextMark service_mark(std::string_view service);

struct ContextTouch {
  std::vector<ContextMark> marks;
  bool everything = false;  // the change does not tell what it touches
};
// `after` is the fleet after the change. What no context tells of (labels, heartbeats, keys of
// nodes) touches none. The work is that of one look-up, however many tenants are entitled.
ContextTouch touched_contexts(const Snapshot& after, const Change& change);

}  // namespace frameworks
