// Writes the health of a node and of its instances as it is known at the time of the write. Runs on
// the store's writer.
#pragma once

#include <memory>
#include <string>

#include "base/locked.h"
#include "runtime/health/known_health.h"
#include "store/store.h"

namespace frameworks {

// On what ground this server judges a node; holds when the transaction sees the same.
struct Competence {
  std::string server;  // of the node's stream
  Edit fence;          // null: that is this server, or it is alone
  bool is_sole = false;

  [[nodiscard]] bool holds(Transaction& transaction, const pb::Node& node) const;
};

class HealthWrite {
 public:
  HealthWrite(Transaction& transaction, std::shared_ptr<Locked<KnownHealth>> known, MonoTime now)
      : transaction_(transaction), known_(std::move(known)), now_(now) {}

  void write(const std::string& node, const Competence& competence);

 private:
  void write_node(const pb::Node& stored);
  void write_instance(const pb::Node& node, const pb::Instance& stored, pb::Health node_state);
  Verdict verdict_of(const pb::Node& node, const pb::Instance& instance, pb::Health node_state);
  // What flapping makes of a verdict.
  Verdict damped(KnownHealth& known, const pb::Instance& stored, Verdict found) const;

  Transaction& transaction_;
  std::shared_ptr<Locked<KnownHealth>> known_;
  MonoTime now_;
};

}  // namespace frameworks
