// Operations: progress of long work, and its end.
#include <fmt/format.h>

#include <deque>

#include "server/handlers.h"

namespace frameworks {
namespace {

constexpr size_t kBatch = 256;

class ProgressStream final : public ReplyStream {
 public:
  explicit ProgressStream(std::unique_ptr<OperationWatch> watch) : watch_(std::move(watch)) {}

  Result<State> next(Message& out) override {
    auto& response = static_cast<pb::WatchOperationResponse&>(out);
    if (events_.empty() && !final_) RETURN_IF_ERROR(fetch());
    if (!events_.empty()) {
      *response.mutable_event() = std::move(events_.front());
      events_.pop_front();
      return State::kMessage;
    }
    if (!final_) return State::kWait;
    if (ended_) return State::kEnd;
    ended_ = true;
    *response.mutable_final() = *final_;
    return State::kMessage;
  }

 private:
  Status fetch() {
    ASSIGN_OR_RETURN(OperationProgress progress, watch_->next(kBatch));
    for (auto& event : progress.events) events_.push_back(std::move(event));
    final_ = std::move(progress.final);
    return {};
  }

  std::unique_ptr<OperationWatch> watch_;
  std::deque<pb::OperationEvent> events_;
  std::optional<pb::OperationStatus> final_;
  bool ended_ = false;
};

Status can_cancel(const Snapshot& snapshot, const std::string& name) {
  const auto* found = snapshot.find<pb::Operation>(name);
  if (found == nullptr)
    return Error(Code::kNotFound, fmt::format("operation \"{}\": not found", name));
  const pb::OperationState state = found->status().state();
  if (state != pb::OPERATION_STATE_UNSPECIFIED && state != pb::OPERATION_STATE_RUNNING)
    return Error(Code::kFailedPrecondition, fmt::format("operation \"{}\" has ended", name));
  return {};
}

}  // namespace

void add_operation_methods(Api& api, const Fleet& fleet) {
  api.add_stream<pb::WatchOperationRequest, pb::WatchOperationResponse>(
      "frameworks.v1.Operations/Watch",
      [&operations = fleet.operations](const Caller&, const auto& request,
                                       Poke poke) -> Result<std::unique_ptr<ReplyStream>> {
        ASSIGN_OR_RETURN(auto watch,
                         operations.watch(request.operation(), request.after(), std::move(poke)));
        return std::unique_ptr<ReplyStream>(std::make_unique<ProgressStream>(std::move(watch)));
      });
  api.add<pb::CancelOperationRequest, pb::CancelOperationResponse>(
      "frameworks.v1.Operations/Cancel", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto&) -> Status {
        if (request.dry_run()) return can_cancel(*fleet.store.snapshot(), request.operation());
        return fleet.operations.cancel(request.operation(), caller.name);
      });
}

}  // namespace frameworks
