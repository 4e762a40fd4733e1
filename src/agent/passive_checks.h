// Checks whose service tells how it is by itself.
//
//   PUT /v1/checks/<instance>/<check>     "healthy", "degraded" or "down", then a reason
//
// Threadsafe. Only checks of the plan are taken, so that nobody on the node fills the memory.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "agent/probe.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/locked.h"

namespace frameworks {

class PassiveChecks {
 public:
  explicit PassiveChecks(Clock& clock) : clock_(clock) {}

  // Those of the plan, from now on; what others said is forgotten.
  void set(const pb::ChecksSection& section);
  // kNotFound: no such check. kInvalidArgument: the body begins with none of the three words.
  Status tell(std::string_view instance, std::string_view check, std::string_view body);
  // The newest word, or that it is too old. A check that never heard anything waits for an
  // interval.
  std::unique_ptr<ProbeAttempt> start(const std::string& instance, const std::string& check,
                                      Duration interval);

 private:
  struct Word {
    MonoTime time{};
    bool is_told = false;
    ProbeOutcome outcome;
  };
  using Words = std::map<std::pair<std::string, std::string>, Word>;

  Clock& clock_;
  Locked<Words> words_;
};

}  // namespace frameworks
