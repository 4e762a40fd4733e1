// Health checks of the node's instances, all on one thread.
//
// A check is told of when it has its first result and when it changes between healthy, degraded and
// failing: `rise` successes in a row make it healthy, `fall` others in a row make it what the last
// of them was. A check whose probe stays the same keeps its state when the plan changes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/passive_checks.h"
#include "agent/probe.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/locked.h"

namespace frameworks {

// Counts successes and failures in a row. Pure.
class CheckState {
 public:
  CheckState(int rise, int fall) : rise_(rise > 0 ? rise : 1), fall_(fall > 0 ? fall : 2) {}
  // True when there is something to tell: the first verdict, or another one than before.
  bool count(const ProbeOutcome& outcome);
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] bool healthy() const { return healthy_; }
  [[nodiscard]] bool degraded() const { return degraded_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  int rise_;
  int fall_;
  int in_a_row_ = 0;
  bool last_ = false;
  bool known_ = false;
  bool healthy_ = false;
  bool degraded_ = false;
  std::string reason_;
};

class Checks {
 public:
  // `report` is called on the checks' thread and must not block.
  Checks(std::unique_ptr<Prober> prober, Clock& clock,
         std::function<void(const pb::CheckReport&)> report);
  ~Checks();  // stops and joins

  void set(const pb::ChecksSection& section);
  // Where services tell of themselves.
  PassiveChecks& passive() { return passive_; }
  // Of every check that has a verdict.
  [[nodiscard]] std::vector<pb::CheckReport> states() const;

 private:
  using Key = std::pair<std::string, std::string>;  // instance, check
  struct Check {
    pb::InstanceChecks::Probe probe;
    CheckState state;
    MonoTime due;
    std::unique_ptr<ProbeAttempt> attempt;
    bool from_outside = false;
  };
  void loop(const std::stop_token& stop);
  void adopt(const pb::ChecksSection& section);
  // Steps what is ready or late, starts what is due; when to look again.
  MonoTime advance();
  void wait(MonoTime until);
  void finish(const Key& key, Check& check, const ProbeOutcome& outcome, MonoTime now);

  std::unique_ptr<ProbeAttempt> start(const Key& key, const Check& check, MonoTime now);

  std::unique_ptr<Prober> prober_;
  Clock& clock_;
  PassiveChecks passive_{clock_};
  std::function<void(const pb::CheckReport&)> report_;
  Locked<std::unique_ptr<pb::ChecksSection>> fresh_;
  Locked<std::map<Key, pb::CheckReport>> verdicts_;
  std::map<Key, Check> checks_;  // the thread's own
  Fd wake_;
  std::jthread thread_;
};

}  // namespace frameworks
