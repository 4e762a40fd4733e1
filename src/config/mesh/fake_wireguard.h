// WireGuard in memory; passes the same contract suite as the real one.
#pragma once

#include <utility>

#include "base/text.h"
#include "config/mesh/wireguard.h"

namespace frameworks {

class FakeWireguard final : public Wireguard {
 public:
  std::string backend() override { return "fake"; }

  Result<Observed> observe() override { return state_; }

  Result<Effect> set(const WireguardConfig& config) override {
    if (!next_error_.empty()) return Error(Code::kUnavailable, std::exchange(next_error_, {}));
    for (const WireguardPeer& peer : config.peers) {
      const auto key = base64_decode(peer.public_key);
      if (!key || key->size() != 32)
        return Error(Code::kInvalidArgument, "peer key: not 32 bytes in base64");
    }
    const Observed wanted{true, normalized(config), routed_prefixes(config)};
    if (state_.exists && state_.config == wanted.config) return Effect::kNothing;
    state_ = wanted;
    return Effect::kChanged;
  }

  // The next set() fails with this.
  void fail_next(std::string message) { next_error_ = std::move(message); }

 private:
  Observed state_;
  std::string next_error_;
};

}  // namespace frameworks
