// The seam through which sessions learn what nodes shall be; the server composes it from the
// layers.
#pragma once

#include <bitset>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"
#include "store/log.h"

namespace frameworks {

// Sections hold no maps, so that equal sections have equal bytes.
inline std::string section_hash(const Message& section) {
  return sha256_hex(section.SerializeAsString()).substr(0, 16);
}

// One section of a plan. Immutable, so that nodes whose sections are equal share one. Threadsafe.
class PlanSection {
 public:
  explicit PlanSection(std::string hash) : hash_(std::move(hash)) {}
  virtual ~PlanSection() = default;
  // Equal sections have equal hashes.
  [[nodiscard]] const std::string& hash() const { return hash_; }
  // Puts the section into an update, whole; not its hash.
  virtual void put(pb::PlanUpdate& update) const = 0;

  // Whether a node's last section is worth keeping, so that it can be told what changed since.
  [[nodiscard]] virtual bool is_base() const { return false; }
  // Puts what changed since `base` into an update. False: only the whole will do, nothing was put.
  virtual bool put_changes(const PlanSection& /*base*/, pb::PlanUpdate& /*update*/) const {
    return false;
  }

 private:
  const std::string hash_;
};
using PlanSectionPtr = std::shared_ptr<const PlanSection>;

// A section that is always told whole: a message of PlanUpdate.
template <typename T>
class WholeSection final : public PlanSection {
 public:
  using Place = T* (pb::PlanUpdate::*)();
  WholeSection(T message, Place place)
      : PlanSection(section_hash(message)), message_(std::move(message)), place_(place) {}
  void put(pb::PlanUpdate& update) const override { *(update.*place_)() = message_; }

 private:
  const T message_;
  const Place place_;
};

// E.g. section_of(std::move(names), &pb::PlanUpdate::mutable_names).
template <typename T>
PlanSectionPtr section_of(T message, T* (pb::PlanUpdate::*place)()) {
  return std::make_shared<const WholeSection<T>>(std::move(message), place);
}

// Some or all sections of a node's plan, by name.
struct NodePlan {
  Revision revision = 0;
  std::map<std::string, PlanSectionPtr> sections{};
};

// Whether both have the same sections with the same content.
bool same_sections(const NodePlan& a, const NodePlan& b);

// Sections by their place in PlanSource::sections().
using SectionSet = std::bitset<8>;
// By name of a node: the sections of its plan that may differ.
using Affected = std::map<std::string, SectionSet>;

class PlanSource {
 public:
  virtual ~PlanSource() = default;
  // Names of all sections, in the order of PlanUpdate.
  [[nodiscard]] virtual std::vector<std::string> sections() const = 0;
  // Plans of the nodes of one snapshot, which must outlive it: what they have in common is worked
  // out once. Deterministic. For one thread.
  class Planner {
   public:
    virtual ~Planner() = default;
    // These sections of the node's plan.
    virtual NodePlan plan(const pb::Node& node, SectionSet sections) = 0;
    NodePlan plan(const pb::Node& node) { return plan(node, SectionSet().set()); }
  };
  [[nodiscard]] virtual std::unique_ptr<Planner> planner(const Snapshot& snapshot) const = 0;
  // Whose plan may differ because of these changes, and what of it. Threadsafe.
  [[nodiscard]] virtual Affected affected(const Snapshot& after,
                                          std::span<const Change> changes) const = 0;
};

}  // namespace frameworks
