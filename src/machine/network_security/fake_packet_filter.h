// A packet filter in memory; passes the same contract suite as the real one, as far as text goes.
#pragma once

#include <memory>
#include <utility>

#include "machine/network_security/packet_filter.h"

namespace frameworks {

class FakePacketFilter final : public PacketFilter {
 public:
  Result<std::optional<std::string>> mark() override { return mark_; }

  Status replace(const std::string& ruleset, const std::string& mark) override {
    if (!next_error_.empty()) return Error(Code::kUnavailable, std::exchange(next_error_, {}));
    if (!ruleset.starts_with("table inet frameworks\n") || !ruleset.ends_with("}\n"))
      return Error(Code::kInvalidArgument, "ruleset: not the table inet frameworks");
    ruleset_ = ruleset;
    mark_ = mark;
    ++replacements_;
    return {};
  }

  // The next replace() fails with this.
  void fail_next(std::string message) { next_error_ = std::move(message); }
  [[nodiscard]] const std::string& ruleset() const { return ruleset_; }
  [[nodiscard]] int replacements() const { return replacements_; }

 private:
  std::optional<std::string> mark_;
  std::string ruleset_;
  std::string next_error_;
  int replacements_ = 0;
};

}  // namespace frameworks
