#include "server/applied_requests.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "model/json.h"
#include "store/sealed_fields.h"

namespace frameworks {
namespace {

// Between two looks at what is over; shorter when there is no room.
constexpr int64_t kSweepSeconds = 600;
constexpr int64_t kFullSweepSeconds = 5;

int64_t seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

bool is_over(const pb::AppliedRequest& record, WallTime now) {
  return record.spec().expire_time().seconds() <= seconds(now);
}

}  // namespace

AppliedRequests::RequestPtr AppliedRequests::request(const Caller& caller,
                                                     const pb::ApplyRequest& request) {
  const Kind& kind = kind_of<pb::AppliedRequest>();
  const std::string name =
      "r-" + sha256_hex(fmt::format("{}\x1f{}", caller.name, request.request_id())).substr(0, 40);
  // As JSON: the bytes of a message that holds maps may differ from one time to the next.
  return std::make_shared<Request>(
      Request{{kind.name, {}, name}, sha256_hex(json_text(to_json(request, Secrets::kShow)))});
}

std::vector<ResourceKey> AppliedRequests::expired() {
  const SnapshotPtr snapshot = store_.snapshot();
  const Kind& kind = kind_of<pb::AppliedRequest>();
  const WallTime now = clock_.wall();
  std::vector<ResourceKey> out;
  const int64_t pause = snapshot->count(kind) < kMost ? kSweepSeconds : kFullSweepSeconds;
  if (seconds(now) < swept_.load() + pause) return out;
  swept_.store(seconds(now));
  snapshot->scan(kind, [&](const Resource& resource) {
    if (is_over(resource.as<pb::AppliedRequest>(), now)) out.push_back(resource.key());
    return true;
  });
  return out;
}

std::string AppliedRequests::digest_of(const Resource& record, const SealKeys* seal) {
  if (seal == nullptr) return record.as<pb::AppliedRequest>().spec().digest();
  const Result<Resource> open = open_fields(*seal, record);
  return open ? open->as<pb::AppliedRequest>().spec().digest() : std::string();
}

Edit AppliedRequests::once(const RequestPtr& request, const Edit& edit,
                           const std::shared_ptr<const std::string>& operation) {
  const auto over = std::make_shared<const std::vector<ResourceKey>>(expired());
  return [=, seal = seal_](Transaction& transaction) -> Status {
    const Snapshot& snapshot = transaction.snapshot();
    if (const Resource* found = snapshot.find(request->key)) {
      const auto& record = found->as<pb::AppliedRequest>();
      if (!is_over(record, transaction.time())) {
        if (digest_of(*found, seal.get()) != request->digest)
          return Error::invalid(
              {{{}, 0, "", "requestId", "was used for another request: choose a new one"}});
        request->known = record;
        return {};
      }
    }
    for (const ResourceKey& key : *over)
      if (const Resource* found = snapshot.find(key))
        if (is_over(found->as<pb::AppliedRequest>(), transaction.time())) transaction.remove(key);
    if (snapshot.count(kind_of<pb::AppliedRequest>()) >= kMost)
      return Error(Code::kResourceExhausted,
                   fmt::format("{} requests with an id within a day: send this one without, or try "
                               "again later",
                               kMost));
    RETURN_IF_ERROR(edit(transaction));
    pb::AppliedRequest record;
    record.mutable_metadata()->set_name(request->key.name);
    record.mutable_spec()->set_digest(request->digest);
    record.mutable_spec()->set_operation(*operation);
    record.mutable_spec()->mutable_expire_time()->set_seconds(
        seconds(transaction.time() + std::chrono::duration_cast<WallTime::duration>(kKept)));
    transaction.put(std::move(record));
    return {};
  };
}

void AppliedRequests::remember(const Request& request, const pb::ApplyResponse& response) {
  const auto done = store_.write({"system/api", {}}, [&](Transaction& transaction) -> Status {
    const Resource* found = transaction.snapshot().find(request.key);
    if (found == nullptr) return {};
    pb::AppliedRequest record = found->as<pb::AppliedRequest>();
    record.mutable_status()->set_revision(response.revision());
    if (response.plan().ByteSizeLong() <= kMostPlan)
      *record.mutable_status()->mutable_plan() = response.plan();
    transaction.put(std::move(record));
    return {};
  });
  // The apply itself is done: sent again, it answers without its plan.
  if (!done) spdlog::warn("{}: {}", request.key.text(), done.error().text());
}

void AppliedRequests::answer(const pb::AppliedRequest& known, pb::ApplyResponse& response) {
  // Between the two writes, the record is as the apply wrote it.
  const int64_t revision = known.status().revision();
  response.set_revision(revision > 0 ? revision : known.metadata().revision());
  *response.mutable_plan() = known.status().plan();
  response.set_operation(known.spec().operation());
}

}  // namespace frameworks
