// Makes the node's packet filter what its plan says.
#pragma once

#include "frameworks/v1/agent.pb.h"
#include "machine/network_security/packet_filter.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

// Replaces the table unless it carries the mark of this very ruleset already: counters and the
// kernel are left alone when nothing changed, also by a restarted agent. Idempotent.
Status apply_firewall(const pb::FirewallSection& section, PacketFilter& filter);

}  // namespace frameworks
