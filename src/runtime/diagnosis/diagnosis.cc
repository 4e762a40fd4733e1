#include "runtime/diagnosis/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>

#include "frameworks/v1/operation.pb.h"
#include "model/words.h"
#include "runtime/diagnosis/walk.h"

namespace frameworks {
namespace {

constexpr const char* kLayers[] = {"machine", "config", "runtime"};

// Index of the first step that is wrong, else of the first warning; -1: all is well.
template <typename Steps, typename FindingOf>
int first_of(const Steps& steps, FindingOf finding_of) {
  for (const pb::Finding wanted : {pb::FINDING_WRONG, pb::FINDING_WARNING}) {
    const auto found = std::find_if(steps.begin(), steps.end(),
                                    [&](const auto& step) { return finding_of(step) == wanted; });
    if (found != steps.end()) return static_cast<int>(found - steps.begin());
  }
  return -1;
}

bool names(const pb::Incident& incident, const std::string& object) {
  const auto& all = incident.status().objects();
  return incident.spec().object() == object ||
         std::find(all.begin(), all.end(), object) != all.end();
}

}  // namespace

const std::vector<PlanWait>& Walk::waits_of(std::string_view node) const {
  static const std::vector<PlanWait> kNone;
  const auto found = waits_.find(node);
  return found == waits_.end() ? kNone : found->second;
}

void Walk::add(Layer layer, const ResourceKey& object, pb::Finding finding, std::string message,
               std::string next_step) {
  if (!view_.everything() && view_.find(object) == nullptr) return;
  pb::WhyStep step;
  step.set_layer(kLayers[static_cast<int>(layer)]);
  step.set_object(object.text());
  step.set_finding(finding);
  step.set_message(std::move(message));
  step.set_next_step(std::move(next_step));
  steps_.emplace_back(layer, std::move(step));
}

bool Walk::add_first_of(const Walk& other) {
  auto steps = other.steps_;
  std::stable_sort(steps.begin(), steps.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const int first = first_of(steps, [](const auto& step) { return step.second.finding(); });
  if (first < 0) return false;
  steps_.push_back(std::move(steps[static_cast<size_t>(first)]));
  return true;
}

pb::WhyResponse Walk::response() const {
  auto steps = steps_;
  std::stable_sort(steps.begin(), steps.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  pb::WhyResponse out;
  for (auto& [layer, step] : steps) *out.add_steps() = std::move(step);
  out.set_first(first_of(out.steps(), [](const auto& step) { return step.finding(); }));
  out.set_revision(snapshot().revision());
  return out;
}

void add_incidents(const ResourceKey& object, Walk& walk) {
  if (!walk.view().everything()) return;
  for (const auto& incident : walk.snapshot().list<pb::Incident>()) {
    if (incident->status().has_close_time() || !names(*incident, object.text())) continue;
    const std::string& name = incident->metadata().name();
    walk.add(Walk::Layer::kRuntime, {"Incident", "", name}, pb::FINDING_WARNING,
             fmt::format("is open: {}", incident->spec().cause()),
             fmt::format("frameworks describe incident {}", name));
  }
}

void add_rollouts(const std::string& service, Walk& walk) {
  const pb::Rollout* last = nullptr;
  const auto all = walk.snapshot().list<pb::Rollout>();
  for (const auto& rollout : all)
    if (rollout->spec().service() == service &&
        (last == nullptr ||
         last->metadata().create_time().seconds() <= rollout->metadata().create_time().seconds()))
      last = rollout.get();
  if (last == nullptr) return;
  const pb::RolloutState state = last->status().state();
  if (state == pb::ROLLOUT_STATE_SUCCEEDED) return;
  const std::string& version = last->spec().version();
  const std::string& message = last->status().message();
  const std::string next = fmt::format("frameworks describe rollout {}", last->metadata().name());
  const bool failed = state == pb::ROLLOUT_STATE_FAILED;
  walk.add(Walk::Layer::kRuntime, {"Rollout", "", last->metadata().name()},
           failed ? pb::FINDING_WRONG : pb::FINDING_WARNING,
           fmt::format("to version {} is {}{}{}", version.empty() ? "of the distribution" : version,
                       state == pb::ROLLOUT_STATE_UNSPECIFIED ? "new" : word(state),
                       message.empty() ? "" : ": ", message),
           next);
}

Result<pb::WhyResponse> diagnose(const Visibility& view, const PlanWaits& waits,
                                 const std::string& kind_word, const std::string& name) {
  const Kind* kind = find_kind(kind_word);
  const std::string text = kind == nullptr ? std::string() : kind->name;
  const bool known = text == "Node" || text == "Cluster" || text == "Service" ||
                     text == "Instance" || text == "Tenant";
  if (!known)
    return Error::invalid({{{},
                            0,
                            "",
                            "kind",
                            fmt::format("\"{}\": only nodes, clusters, services, instances and "
                                        "tenants can be asked about",
                                        kind_word)}});
  const Resource* found = view.find({text, "", name});
  if (found == nullptr) return Error(Code::kNotFound, fmt::format("{}/{}: not found", text, name));
  Walk walk(view, waits);
  if (text == "Node") walk_node(found->as<pb::Node>(), Instances::kTold, walk);
  if (text == "Cluster") walk_cluster(found->as<pb::Cluster>(), walk);
  if (text == "Service") walk_service(found->as<pb::Service>(), walk);
  if (text == "Instance") walk_instance(found->as<pb::Instance>(), walk);
  if (text == "Tenant") walk_tenant(found->as<pb::Tenant>(), walk);
  return walk.response();
}

}  // namespace frameworks
