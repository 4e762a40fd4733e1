// WireGuard in memory; passes the same contract suite as the real one. Threadsafe: tests look at it
// while an agent sets it.
#pragma once

#include <utility>

#include "base/locked.h"
#include "base/text.h"
#include "config/mesh/wireguard.h"

namespace frameworks {

class FakeWireguard final : public Wireguard {
 public:
  std::string backend() override { return "fake"; }

  Result<Observed> observe() override {
    return state_.with([](const State& state) { return state.observed; });
  }

  Result<Effect> set(const WireguardConfig& config) override {
    return state_.with([&](State& state) -> Result<Effect> {
      if (!state.next_error.empty())
        return Error(Code::kUnavailable, std::exchange(state.next_error, {}));
      for (const WireguardPeer& peer : config.peers) {
        const auto key = base64_decode(peer.public_key);
        if (!key || key->size() != 32)
          return Error(Code::kInvalidArgument, "peer key: not 32 bytes in base64");
      }
      const Observed wanted{true, normalized(config), routed_prefixes(config)};
      if (state.observed.exists && state.observed.config == wanted.config) return Effect::kNothing;
      state.observed = wanted;
      return Effect::kChanged;
    });
  }

  // The next set() fails with this.
  void fail_next(std::string message) {
    state_.with([&](State& state) { state.next_error = std::move(message); });
  }

 private:
  struct State {
    Observed observed;
    std::string next_error;
  };
  Locked<State> state_;
};

}  // namespace frameworks
