#include "simulation/network.h"

#include <algorithm>

namespace frameworks {

void Network::post(NetworkMessage message) {
  ++posted_;
  MonoTime at = now_ + chance_.pick_ms(5, 50);
  if (is_lossy_ && chance_.happens(loss_)) {
    // What is not a heartbeat is missed: the stream breaks.
    if (!std::holds_alternative<Beat>(message.content))
      breaks_.add(now_ + chance_.pick_ms(100, 3000), {message.agent, message.stream});
    return;
  }
  if (is_lossy_ && chance_.happens(0.02)) at += chance_.pick_ms(100, 3000);
  // A stream keeps its order: what is late holds up what follows.
  MonoTime& last = links_[static_cast<size_t>(message.agent)][message.is_up() ? 1 : 0];
  at = last = std::max(last, at);
  if (is_lossy_ && chance_.happens(0.02)) {
    ++posted_;
    messages_.add(at, {at, message});
  }
  messages_.add(at, {at, std::move(message)});
}

void Network::step(MonoTime now, const Deliver& deliver, const Break& break_stream) {
  now_ = now;
  std::vector<Arrival> arrived = messages_.next();
  std::stable_sort(arrived.begin(), arrived.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  for (Arrival& arrival : arrived) deliver(std::move(arrival.message));
  for (const BrokenStream& broken : breaks_.next()) break_stream(broken.agent, broken.stream);
}

}  // namespace frameworks
