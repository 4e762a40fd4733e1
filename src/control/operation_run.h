// One take-up of one operation: from its first step that had not succeeded to its end.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "control/operation_journal.h"
#include "control/operations.h"

namespace frameworks {

inline constexpr const char* kOperationsActor = "system/operations";

// Whether it has ended.
bool has_ended(const pb::Operation& operation);

class OperationRun final : public OperationContext {
 public:
  // `stop`: of cancellation or of the server; `shutdown`: of the server alone.
  OperationRun(Store& store, Clock& clock, PokeList& pokes, OperationJournal journal,
               std::string name, std::stop_token stop, std::stop_token shutdown);

  // Returns early, leaving the operation as it is, when the server stops. Keeps `keep` that ended.
  Status run(const std::vector<Step>& steps, size_t keep);

  Store& store() override { return store_; }
  Clock& clock() override { return clock_; }
  std::stop_token stop() const override { return stop_; }
  const std::string& operation() const override { return name_; }
  Revision revision() const override { return revision_; }
  void emit(pb::OperationEvent event) override;

 private:
  enum class Outcome { kSucceeded, kFailed, kCancelled, kInterrupted };
  Status begin(const std::vector<Step>& steps);
  Outcome run_step(const Step& step, int index, std::string& error);
  Status end_step(int index, pb::OperationState state, const std::string& message);
  Status end(Outcome outcome, const std::string& error, size_t keep);
  // Changes the stored operation; while the store cannot be written it tries again until shutdown.
  Status change(const std::function<void(pb::Operation&)>& edit, size_t keep = 0);
  [[nodiscard]] pb::Operation current() const;
  void tell(pb::OperationEventResult result, const std::string& message);

  Store& store_;
  Clock& clock_;
  PokeList& pokes_;
  Locked<OperationJournal> journal_;
  const std::string name_;
  const std::stop_token stop_;
  const std::stop_token shutdown_;
  Revision revision_ = 0;
  // Of the step that runs.
  std::string layer_;
  MonoTime step_began_{};
};

}  // namespace frameworks
