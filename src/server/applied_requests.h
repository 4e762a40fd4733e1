// Applies that came with a request id: sent again within a day, one answers as it did and changes
// nothing, also after a restart.
//
// What was answered is an AppliedRequest, written in the transaction that it tells of. At most
// kMost are kept; further ones are refused until a day has passed, rather than forgotten.
#pragma once

#include <atomic>
#include <memory>

#include "frameworks/v1/applied_request.pb.h"
#include "server/api.h"
#include "store/store.h"

namespace frameworks {

class AppliedRequests {
 public:
  static constexpr size_t kMost = 10'000;
  static constexpr size_t kMostPlan = 16 << 10;
  static constexpr std::chrono::hours kKept{24};

  // Both outlive it. `seal`: the store's.
  AppliedRequests(Store& store, Clock& clock, std::shared_ptr<const SealKeys> seal)
      : store_(store), clock_(clock), seal_(std::move(seal)) {}

  // One request on its way through a transaction.
  struct Request {
    ResourceKey key;
    std::string digest;
    // After the transaction: what was answered the first time, if this is not the first.
    std::optional<pb::AppliedRequest> known = {};
  };
  using RequestPtr = std::shared_ptr<Request>;
  static RequestPtr request(const Caller& caller, const pb::ApplyRequest& request);

  // `edit`, but once: what it did is remembered in the same transaction, and a request that is
  // known does nothing. kInvalidArgument: the id was used for another request. `operation` is read
  // after the edit.
  Edit once(const RequestPtr& request, const Edit& edit,
            const std::shared_ptr<const std::string>& operation);
  // Keeps the answer of a request that was not known.
  void remember(const Request& request, const pb::ApplyResponse& response);
  // The answer of a known one.
  static void answer(const pb::AppliedRequest& known, pb::ApplyResponse& response);

 private:
  [[nodiscard]] std::vector<ResourceKey> expired();
  // Empty when it does not open.
  static std::string digest_of(const Resource& record, const SealKeys* seal);

  Store& store_;
  Clock& clock_;
  std::shared_ptr<const SealKeys> seal_;
  std::atomic<int64_t> swept_{0};  // seconds of Unix time
};

}  // namespace frameworks
