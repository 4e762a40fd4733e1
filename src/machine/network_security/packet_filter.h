// The seam to the kernel's packet filter.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/error.h"

namespace frameworks {

// The table "inet frameworks" of one network namespace. Not threadsafe.
class PacketFilter {
 public:
  virtual ~PacketFilter() = default;
  // The mark that the table carries; none when the table is not there or carries none.
  virtual Result<std::optional<std::string>> mark() = 0;
  // Replaces the table in one transaction: either all of `ruleset` holds afterwards, with `mark`,
  // or the filter is as it was. kInvalidArgument: the ruleset is malformed or touches something
  // else.
  virtual Status replace(const std::string& ruleset, const std::string& mark) = 0;
};

// By the program `nft`, in the network namespace of the calling thread.
std::unique_ptr<PacketFilter> make_nft_packet_filter();

}  // namespace frameworks
