// Clients of several servers that write down what they asked and were told, for the checker.
//
// A key is a tenant, its value the label "value". Threadsafe.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/locked.h"
#include "frameworks/v1/fleet_api.grpc.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "history.h"
#include "model/kind.h"

namespace frameworks {

// A server as its clients see it.
struct Endpoint {
  std::shared_ptr<grpc::Channel> channel;
  std::string token;

  void prepare(grpc::ClientContext& context, std::chrono::milliseconds patience) const {
    context.AddMetadata("authorization", "Bearer " + token);
    context.set_deadline(std::chrono::system_clock::time_point(system_clock().wall() + patience));
  }
};

class Recorder {
 public:
  explicit Recorder(std::vector<Endpoint> endpoints) : endpoints_(std::move(endpoints)) {}

  // One thing asked of any server by process `process`, chosen by `random`.
  void step(int process, std::mt19937& random) {
    const Endpoint& endpoint = endpoints_[random() % endpoints_.size()];
    const std::string key = "k" + std::to_string(random() % kKeys);
    const auto what = random() % 10;
    if (what < 3) return read(process, endpoint, key);
    write(process, endpoint, key,
          what < 6 ? known_.with([&](auto& known) { return known[key]; }) : 0);
  }
  // Until it is acknowledged; its revision. For the test itself, and part of the history too.
  int64_t mark(const std::string& key) {
    while (true)
      for (const Endpoint& endpoint : endpoints_)
        if (const int64_t revision = write(0, endpoint, key, 0); revision > 0) return revision;
  }

  // Follows from `from` until it has been told of `until` (set later), over all servers in turn.
  void watch(const std::string& name, size_t first, int64_t from,
             const std::atomic<int64_t>& until) {
    WatchRecord record{from, from, {}};
    for (size_t at = first; until == 0 || record.to < until; ++at) {
      follow(endpoints_[at % endpoints_.size()], record, until);
      (void)system_clock().sleep_for(std::chrono::milliseconds(20), {});
    }
    history_.with([&](History& history) { history.watches[name] = std::move(record); });
  }

  // What the log says, as one server tells it.
  void take_log(size_t server, int64_t from, int64_t until) {
    WatchRecord record{from, from, {}};
    const std::atomic<int64_t> end = until;
    while (record.to < until) follow(endpoints_[server], record, end);
    history_.with([&](History& history) { history.log = std::move(record.events); });
  }

  // How often which error was told, for people.
  [[nodiscard]] std::map<std::string, int> errors() const {
    return errors_.with([](const auto& errors) { return errors; });
  }
  [[nodiscard]] History history() const {
    return history_.with([](const History& history) { return history; });
  }

 private:
  static constexpr size_t kKeys = 5;
  static constexpr std::chrono::seconds kPatience{8};

  static int64_t now() { return system_clock().mono().time_since_epoch().count(); }

  void note(Operation operation) {
    history_.with([&](History& history) { history.operations.push_back(std::move(operation)); });
  }

  void read(int process, const Endpoint& endpoint, const std::string& key) {
    Operation operation;
    operation.kind = Operation::Kind::kRead;
    operation.process = process;
    operation.key = key;
    operation.fresh = false;  // a server may be behind; it says of which revision it tells
    operation.invoked = now();
    grpc::ClientContext context;
    endpoint.prepare(context, kPatience);
    pb::GetRequest request;
    request.set_kind("Tenant");
    request.set_name(key);
    pb::GetResponse response;
    const auto status = pb::Fleet::NewStub(endpoint.channel)->Get(&context, request, &response);
    // Not found is without a revision, and therefore says nothing.
    if (!status.ok()) return;
    operation.returned = now();
    pb::Tenant tenant;
    response.resource().UnpackTo(&tenant);
    operation.value = tenant.metadata().labels().at("value");
    operation.revision = tenant.metadata().revision();
    operation.as_of = response.revision();
    known_.with([&](auto& known) { known[key] = operation.revision; });
    note(std::move(operation));
  }

  // `expected` 0: whatever is there. The revision; 0: refused, or nobody knows.
  int64_t write(int process, const Endpoint& endpoint, const std::string& key, int64_t expected) {
    Operation operation;
    operation.kind = expected == 0 ? Operation::Kind::kWrite : Operation::Kind::kCompareAndSet;
    operation.process = process;
    operation.key = key;
    operation.expected = expected;
    operation.value = "w" + std::to_string(++values_);
    pb::Tenant tenant;
    tenant.mutable_metadata()->set_name(key);
    tenant.mutable_metadata()->set_revision(expected);
    (*tenant.mutable_metadata()->mutable_labels())["value"] = operation.value;
    tenant.mutable_spec()->set_display_name(key);
    pb::ApplyRequest request;
    request.add_items()->mutable_resource()->PackFrom(tenant);
    pb::ApplyResponse response;
    grpc::ClientContext context;
    endpoint.prepare(context, kPatience);
    operation.invoked = now();
    const auto status = pb::Fleet::NewStub(endpoint.channel)->Apply(&context, request, &response);
    operation.returned = now();
    if (status.ok()) {
      operation.revision = response.revision();
      known_.with([&](auto& known) { known[key] = operation.revision; });
    } else if (status.error_code() == grpc::StatusCode::ABORTED) {
      operation.outcome = Operation::Outcome::kRefused;
    } else {
      operation.outcome = Operation::Outcome::kUnknown;
      operation.returned = kNever;
      errors_.with([&](auto& errors) { ++errors[status.error_message().substr(0, 60)]; });
    }
    const int64_t revision = operation.revision;
    note(std::move(operation));
    return revision;
  }

  // One stream, until it breaks or has told of `until`.
  static void follow(const Endpoint& endpoint, WatchRecord& record,
                     const std::atomic<int64_t>& until) {
    grpc::ClientContext context;
    endpoint.prepare(context, std::chrono::seconds(5));  // then another server has its turn
    pb::WatchRequest request;
    request.add_kinds("Tenant");
    request.set_from_revision(record.to);
    const auto stub = pb::Fleet::NewStub(endpoint.channel);
    const auto reader = stub->Watch(&context, request);
    pb::WatchEvent event;
    while (reader->Read(&event)) {
      if (event.type() == pb::WATCH_EVENT_TYPE_PUT) {
        pb::Tenant tenant;
        event.resource().UnpackTo(&tenant);
        record.events.push_back(
            {event.revision(), tenant.metadata().name(), tenant.metadata().labels().at("value")});
      }
      record.to = std::max(record.to, event.revision());
      if (until != 0 && record.to >= until) break;
    }
    context.TryCancel();
    if (const auto status = reader->Finish(); status.error_code() == grpc::StatusCode::OUT_OF_RANGE)
      record.events.push_back({-1, "the log was forgotten", status.error_message()});
  }

  const std::vector<Endpoint> endpoints_;
  std::atomic<int64_t> values_ = 0;
  Locked<std::map<std::string, int64_t>> known_;
  Locked<History> history_;
  Locked<std::map<std::string, int>> errors_;
};

}  // namespace frameworks
