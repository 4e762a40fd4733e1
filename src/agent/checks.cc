#include "agent/checks.h"

#include <sys/eventfd.h>

#include <algorithm>

namespace frameworks {
namespace {

constexpr std::chrono::seconds kDefaultInterval{1};
// With nothing to do the thread still looks now and then.
constexpr std::chrono::seconds kIdle{60};

Duration interval_of(const pb::InstanceChecks::Probe& probe) {
  const Duration given = std::chrono::seconds(probe.interval().seconds()) +
                         std::chrono::nanoseconds(probe.interval().nanos());
  return given > Duration::zero() ? given : kDefaultInterval;
}

}  // namespace

bool CheckState::count(const ProbeOutcome& outcome) {
  in_a_row_ = in_a_row_ > 0 && last_ == outcome.healthy ? in_a_row_ + 1 : 1;
  last_ = outcome.healthy;
  const bool enough = in_a_row_ >= (outcome.healthy ? rise_ : fall_);
  if (!enough || (known_ && healthy_ == outcome.healthy && degraded_ == outcome.degraded))
    return false;
  known_ = true;
  healthy_ = outcome.healthy;
  degraded_ = outcome.degraded;
  reason_ = outcome.reason;
  return true;
}

Checks::Checks(std::unique_ptr<Prober> prober, Clock& clock,
               std::function<void(const pb::CheckReport&)> report)
    : prober_(std::move(prober)),
      clock_(clock),
      report_(std::move(report)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this](const std::stop_token& stop) { loop(stop); }) {}

Checks::~Checks() {
  thread_.request_stop();
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Checks::set(const pb::ChecksSection& section) {
  passive_.set(section);
  auto copy = std::make_unique<pb::ChecksSection>(section);
  fresh_.with([&](auto& fresh) { fresh = std::move(copy); });
  eventfd_write(wake_.get(), 1);
}

std::vector<pb::CheckReport> Checks::states() const {
  return verdicts_.with([](const auto& verdicts) {
    std::vector<pb::CheckReport> out;
    for (const auto& [key, report] : verdicts) out.push_back(report);
    return out;
  });
}

void Checks::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto section = fresh_.with([](auto& fresh) { return std::exchange(fresh, nullptr); });
    if (section != nullptr) adopt(*section);
    wait(advance());
  }
}

void Checks::adopt(const pb::ChecksSection& section) {
  std::map<Key, Check> next;
  const MonoTime now = clock_.mono();
  for (const pb::InstanceChecks& instance : section.instances()) {
    for (const auto& probe : instance.probes()) {
      const Key key{instance.instance(), probe.name()};
      const auto present = checks_.find(key);
      if (present != checks_.end() &&
          present->second.probe.SerializeAsString() == probe.SerializeAsString()) {
        next.emplace(key, std::move(present->second));
      } else {
        next.emplace(key, Check{probe, CheckState(probe.rise(), probe.fall()), now, nullptr,
                                instance.from_outside()});
      }
    }
  }
  checks_ = std::move(next);
  verdicts_.with([&](auto& verdicts) {
    std::erase_if(verdicts, [&](const auto& entry) {
      const auto check = checks_.find(entry.first);
      return check == checks_.end() || !check->second.state.known();
    });
  });
}

MonoTime Checks::advance() {
  MonoTime next = clock_.mono() + kIdle;
  for (auto& [key, check] : checks_) {
    const MonoTime now = clock_.mono();
    if (check.attempt == nullptr && check.due <= now) {
      check.due = now + interval_of(check.probe);
      check.attempt = start(key, check, now);
    }
    if (check.attempt != nullptr)
      if (const auto outcome = check.attempt->step(now); outcome) {
        check.attempt = nullptr;
        finish(key, check, *outcome, now);
      }
    next = std::min(next, check.attempt != nullptr ? check.attempt->deadline() : check.due);
  }
  return next;
}

std::unique_ptr<ProbeAttempt> Checks::start(const Key& key, const Check& check, MonoTime now) {
  if (check.probe.type() != pb::CHECK_TYPE_PASSIVE) return prober_->start(check.probe, now);
  return passive_.start(key.first, key.second, interval_of(check.probe));
}

void Checks::finish(const Key& key, Check& check, const ProbeOutcome& outcome, MonoTime now) {
  check.due = std::max(check.due, now);
  if (!check.state.count(outcome)) return;
  pb::CheckReport report;
  report.set_instance(key.first);
  report.set_check(key.second);
  report.set_healthy(check.state.healthy());
  report.set_degraded(check.state.degraded());
  report.set_from_outside(check.from_outside);
  report.set_reason(check.state.reason());
  verdicts_.with([&](auto& verdicts) { verdicts[key] = report; });
  report_(report);
}

void Checks::wait(MonoTime until) {
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
  for (const auto& [key, check] : checks_)
    if (check.attempt != nullptr) fds.push_back(check.attempt->wants());
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.mono()).count();
  poll(fds.data(), fds.size(), static_cast<int>(std::clamp<int64_t>(left, 0, 60'000)));
  eventfd_t ignored = 0;
  eventfd_read(wake_.get(), &ignored);
}

}  // namespace frameworks
