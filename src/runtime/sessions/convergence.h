// Which node has which part of its plan, since when, and how long that took after the write.
//
// A plan has sections ("mesh", "firewall", ...); each is a plane of convergence. A node is wanted
// to have a section by its hash, and tells the hash that it has applied. Pure; not threadsafe.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/snapshot.h"

namespace frameworks {

class Convergence {
 public:
  explicit Convergence(std::vector<std::string> planes);

  // From the write at `revision` (committed at `time`) on, the node shall have `hash`.
  void want(const std::string& node, const std::string& plane, const std::string& hash,
            Revision revision, WallTime time);
  // The node tells that it has `hash` now.
  void applied(const std::string& node, const std::string& plane, const std::string& hash,
               WallTime now);
  // The node could not apply what was wanted.
  void failed(const std::string& node, const std::string& plane, const std::string& why);
  void remove(const std::string& node);
  // The node is part of the fleet, and what it shall have is not known now: it waits.
  void forget(const std::string& node);

  // Hash that the node shall have; empty: nothing was wanted of it yet.
  [[nodiscard]] std::string wanted(const std::string& node, const std::string& plane) const;
  [[nodiscard]] bool converged(const std::string& node) const;

  struct Waiting {
    std::string node;
    std::string error;    // empty: not answered yet
    Revision since = 0;   // the oldest change it lacks; 0: what it shall have is not known
    bool failed = false;  // the node answered that it could not be applied
  };
  struct Plane {
    std::string name;
    int total = 0;
    std::vector<Waiting> waiting;
    // How long the slowest node took for the last change of this plane at or before the revision;
    // absent while nodes are waiting.
    std::optional<Duration> elapsed;
  };
  // Where the fleet stood at `revision` has arrived.
  [[nodiscard]] std::vector<Plane> at(Revision revision) const;
  // Plane::elapsed, as if nobody were waiting.
  [[nodiscard]] Duration elapsed(const std::string& plane, Revision revision) const;
  [[nodiscard]] const std::vector<std::string>& planes() const { return order_; }

 private:
  struct Section {
    std::string wanted;
    std::string applied;
    std::string error;
    std::set<Revision> pending;  // changes that were not answered yet
  };
  struct Wave {
    WallTime time{};
    Duration slowest{0};
  };
  struct PlaneState {
    std::map<std::string, Section, std::less<>> nodes;
    std::map<Revision, Wave> waves;  // the newest kWaves
  };
  static constexpr size_t kWaves = 1024;
  static constexpr size_t kPending = 64;

  Section* find(const std::string& node, const std::string& plane);
  static void resolve(PlaneState& plane, Section& section, WallTime now);

  std::vector<std::string> order_;
  std::map<std::string, PlaneState, std::less<>> planes_;
};

}  // namespace frameworks
