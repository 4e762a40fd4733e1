#include "hostd/wan_emulator.h"

#include <algorithm>

namespace frameworks::hostd {
namespace {

constexpr size_t kHeader = 14;
constexpr uint64_t kMulticastBit = uint64_t{1} << 40;  // lowest bit of the first byte

uint64_t mac_at(std::span<const uint8_t> frame, size_t offset) {
  uint64_t out = 0;
  for (size_t i = 0; i < 6; ++i) out = out << 8 | frame[offset + i];
  return out;
}

}  // namespace

void WanEmulator::configure(const std::vector<WanLink>& links) {
  std::map<std::string, Port> ports;
  for (const WanLink& link : links) {
    Port port{.link = link};
    // A changed rate starts with a free line; an unchanged one keeps its queue.
    if (const auto old = ports_.find(link.region);
        old != ports_.end() && old->second.link.rate_mbps == link.rate_mbps) {
      port.up_free = old->second.up_free;
      port.down_free = old->second.down_free;
    }
    ports.emplace(link.region, port);
  }
  ports_ = std::move(ports);
  last_due_.clear();
  std::erase_if(learned_, [&](const auto& entry) { return !ports_.contains(entry.second.region); });
}

void WanEmulator::receive(const std::string& region, std::span<const uint8_t> frame, MonoTime now) {
  const auto found = ports_.find(region);
  if (found == ports_.end() || found->second.link.down || frame.size() < kHeader) return;
  Port& from = found->second;
  learn(mac_at(frame, 6), region, now);

  const uint64_t destination = mac_at(frame, 0);
  const auto known =
      (destination & kMulticastBit) != 0 ? learned_.end() : learned_.find(destination);
  if (known != learned_.end() && now - known->second.seen < kAddressAge) {
    if (known->second.region == region) return;  // stays inside the region
    if (lost(from.link.loss)) return;
    const auto at = pass(from.link.rate_mbps, from.up_free, frame.size(), now);
    if (at) send(from, ports_.at(known->second.region), frame, *at);
    return;
  }
  if (lost(from.link.loss)) return;
  const auto at = pass(from.link.rate_mbps, from.up_free, frame.size(), now);
  if (!at) return;
  for (auto& [name, to] : ports_)
    if (name != region) send(from, to, frame, *at);
}

void WanEmulator::learn(Mac source, const std::string& region, MonoTime now) {
  if ((source & kMulticastBit) != 0) return;
  if (learned_.size() >= kMostAddresses && !learned_.contains(source))
    std::erase_if(learned_,
                  [&](const auto& entry) { return now - entry.second.seen > kAddressAge; });
  // Still full: this many addresses are an attack, and unknown ones are merely flooded.
  if (learned_.size() >= kMostAddresses && !learned_.contains(source)) return;
  learned_[source] = {region, now};
}

Duration WanEmulator::delay_of(const WanLink& link) {
  if (link.jitter == Duration::zero()) return link.delay;
  const auto range = link.jitter.count();
  const Duration shift{std::uniform_int_distribution<int64_t>(-range, range)(chance_)};
  return std::max(Duration::zero(), link.delay + shift);
}

std::optional<MonoTime> WanEmulator::pass(double rate_mbps, MonoTime& free, size_t bytes,
                                          MonoTime now) {
  if (rate_mbps <= 0) return now;
  const MonoTime start = std::max(now, free);
  if (start - now > kLongestQueue) return std::nullopt;
  const double nanoseconds = static_cast<double>(bytes) * 8 * 1000 / rate_mbps;
  free = start + Duration(static_cast<int64_t>(nanoseconds));
  return free;
}

void WanEmulator::send(Port& from, Port& to, std::span<const uint8_t> frame, MonoTime at) {
  if (to.link.down || lost(to.link.loss) || bytes_waiting_ + frame.size() > kMostBytesWaiting)
    return;
  const auto passed = pass(to.link.rate_mbps, to.down_free, frame.size(), at);
  if (!passed) return;
  MonoTime due = *passed + delay_of(from.link) + delay_of(to.link);
  MonoTime& last = last_due_[{from.link.region, to.link.region}];
  due = std::max(due, last);
  last = due;
  waiting_.push({due, order_++, to.link.region, {frame.begin(), frame.end()}});
  bytes_waiting_ += frame.size();
}

std::optional<MonoTime> WanEmulator::next_due() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.top().due;
}

std::optional<WanEmulator::Delivery> WanEmulator::take(MonoTime now) {
  while (!waiting_.empty() && waiting_.top().due <= now) {
    // The frame is moved out of the heap's top; its place in the order stays as it is.
    Waiting next = std::move(const_cast<Waiting&>(waiting_.top()));
    waiting_.pop();
    bytes_waiting_ -= next.frame.size();
    const auto port = ports_.find(next.region);
    if (port == ports_.end() || port->second.link.down) continue;
    return Delivery{std::move(next.region), std::move(next.frame)};
  }
  return std::nullopt;
}

}  // namespace frameworks::hostd
