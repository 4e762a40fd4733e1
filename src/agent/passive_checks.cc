#include "agent/passive_checks.h"

#include <fmt/format.h>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr size_t kReason = 300;

// Has its outcome at `when`.
class Known final : public ProbeAttempt {
 public:
  Known(MonoTime when, ProbeOutcome outcome) : when_(when), outcome_(std::move(outcome)) {}
  [[nodiscard]] pollfd wants() const override { return {-1, 0, 0}; }
  std::optional<ProbeOutcome> step(MonoTime now) override {
    if (now < when_) return {};
    return outcome_;
  }
  [[nodiscard]] MonoTime deadline() const override { return when_; }

 private:
  MonoTime when_;
  ProbeOutcome outcome_;
};

}  // namespace

void PassiveChecks::set(const pb::ChecksSection& section) {
  const MonoTime now = clock_.mono();
  words_.with([&](Words& words) {
    Words next;
    for (const auto& instance : section.instances())
      for (const auto& probe : instance.probes()) {
        if (probe.type() != pb::CHECK_TYPE_PASSIVE || instance.from_outside()) continue;
        const std::pair key{instance.instance(), probe.name()};
        const auto known = words.find(key);
        next[key] = known == words.end() ? Word{now, false, {}} : known->second;
      }
    words = std::move(next);
  });
}

Status PassiveChecks::tell(std::string_view instance, std::string_view check,
                           std::string_view body) {
  body = trim(body);
  const std::string_view word = body.substr(0, body.find_first_of(" \t\r\n:;,."));
  if (word != "healthy" && word != "degraded" && word != "down")
    return Error(Code::kInvalidArgument,
                 "begin with \"healthy\", \"degraded\" or \"down\", then say why");
  std::string reason;
  for (const char c : body.substr(0, kReason)) reason += c >= ' ' && c <= '~' ? c : '?';
  return words_.with([&](Words& words) -> Status {
    const auto at = words.find({std::string(instance), std::string(check)});
    if (at == words.end())
      return Error(Code::kNotFound,
                   fmt::format("this node has no passive check {} of {}", check, instance));
    at->second = {
        clock_.mono(), true, {word == "healthy", "it says: " + reason, word == "degraded"}};
    return {};
  });
}

std::unique_ptr<ProbeAttempt> PassiveChecks::start(const std::string& instance,
                                                   const std::string& check, Duration interval) {
  const MonoTime now = clock_.mono();
  const Word word = words_.with([&](const Words& words) {
    const auto at = words.find({instance, check});
    return at == words.end() ? Word{now, false, {}} : at->second;
  });
  // Half an interval more, for those that tell exactly once an interval.
  const Duration patience = interval + interval / 2;
  const auto silent = std::chrono::duration_cast<std::chrono::seconds>(now - word.time).count();
  const ProbeOutcome silence{false, fmt::format("it said nothing for {} s", silent), false};
  if (!word.is_told && now - word.time < patience)
    return std::make_unique<Known>(word.time + patience,
                                   ProbeOutcome{false, "it has said nothing yet", false});
  if (now - word.time >= patience) return std::make_unique<Known>(now, silence);
  return std::make_unique<Known>(now, word.outcome);
}

}  // namespace frameworks
