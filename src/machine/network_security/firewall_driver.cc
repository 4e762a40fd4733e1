#include "machine/network_security/firewall_driver.h"

#include "base/text.h"

namespace frameworks {

Status apply_firewall(const pb::FirewallSection& section, PacketFilter& filter) {
  const std::string wanted = "sha256:" + sha256_hex(section.ruleset());
  ASSIGN_OR_RETURN(const auto present, filter.mark());
  if (present == wanted) return {};
  return filter.replace(section.ruleset(), wanted);
}

}  // namespace frameworks
