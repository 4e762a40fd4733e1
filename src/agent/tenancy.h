// Who may publish and play on this node: the tenancy section, answered from memory.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/locked.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

struct PublishAnswer {
  bool allowed = false;
  std::string reason;  // for logs and the answer's body
};

// Bits per second on this node.
struct TenantTraffic {
  int64_t in = 0;   // what its streams bring
  int64_t out = 0;  // what its viewers are sent
  bool operator==(const TenantTraffic&) const = default;
};

// The form that the media server posts (application/x-www-form-urlencoded): "name" is
// TENANT+STREAM; "tenant" may be given besides and must then agree. Anything ambiguous is refused:
// publishers can append arguments of their own to what the media server sends.
struct PublishRequest {
  std::string tenant;
  std::string stream;
};
// kInvalidArgument says what is wrong with the form.
Result<PublishRequest> parse_publish(std::string_view form);

// Threadsafe.
class Tenancy {
 public:
  // A stream of which nothing was heard for so long has ended: updates come each 10 s.
  static constexpr Duration kSilence = std::chrono::seconds(35);

  // What is measured has in it for so long what has ended.
  static constexpr Duration kAveraged = std::chrono::seconds(10);

  // So long after the agent's start all that runs has been told of.
  static constexpr Duration kLearning = std::chrono::seconds(12);

  explicit Tenancy(Clock& clock = system_clock()) : clock_(clock), started_(clock.mono()) {}

  void set(const pb::TenancySection& section);

  // Whether a stream may begin. A grant that has expired is refused by this node's clock, also
  // while the server is away; and one stream more than the tenant's limit on this cluster, counted
  // on this node alone: with several nodes a tenant may have as many on each.
  [[nodiscard]] PublishAnswer may_publish(std::string_view form);
  // Whether somebody may watch a stream of a tenant; counted against the tenant's limit of viewers
  // like streams, by the media server's number of the connection ("clientid").
  [[nodiscard]] PublishAnswer may_play(std::string_view form);
  // Whether a stream or a viewer that the media server tells of as there may go on: not of a tenant
  // that was suspended, or whose grant ended; nor while the tenant has more traffic than its limit:
  // then as many viewers end as have the excess by their average, and streams where what they bring
  // is too much by itself. Without a plan everything goes on.
  [[nodiscard]] PublishAnswer may_go_on(std::string_view form);
  // Whether somebody may watch a stream ("TENANT+STREAM") whose files are fetched, as with HLS, and
  // who is asked about again and again meanwhile: counted as a viewer until nothing was heard for
  // kSilence. `viewer` tells viewers apart, and is not kept.
  [[nodiscard]] PublishAnswer may_watch(std::string_view stream, std::string_view viewer);
  // A stream has ended, a viewer has gone.
  void ended(std::string_view form);
  void stopped_playing(std::string_view form);

  // While the node is drained no stream begins; those that run go on.
  void set_draining(bool draining) { draining_ = draining; }
  // What each tenant has on this node, averaged over kAveraged: at its limit in Mbit/s nothing of the
  // tenant begins.
  void set_traffic(const std::map<std::string, TenantTraffic>& traffic);

  // Streams and viewers that the media server told of; -1: not known yet.
  [[nodiscard]] int64_t sessions() const;
  // The same without waiting until all that runs has been told of.
  [[nodiscard]] bool has_sessions() const { return running() > 0; }

  [[nodiscard]] int tenants() const;

 private:
  // What runs, by its name, and when it was heard of last; by tenant.
  using Running = std::map<std::string, MonoTime, std::less<>>;
  using Runs = Locked<std::map<std::string, Running, std::less<>>>;
  using SectionPtr = std::shared_ptr<const pb::TenancySection>;

  [[nodiscard]] SectionPtr section() const;
  // `what`: "publish", "play".
  [[nodiscard]] PublishAnswer judge(const std::string& tenant, const SectionPtr& section,
                                    std::string_view what) const;
  enum class Asks { kToBegin, kViewer, kStream };
  // Why something of the tenant's may not begin, or not go on, for its limit in Mbit/s; nothing: it
  // may.
  [[nodiscard]] std::optional<std::string> over_traffic(const std::string& tenant,
                                                        const SectionPtr& section,
                                                        Asks asks) const;
  // Notes that `name` runs; false: it would be one too many.
  bool count(Runs& runs, const std::string& tenant, const std::string& name, int64_t limit);
  static void forget(Runs& runs, const std::string& tenant, const std::string& name);
  [[nodiscard]] bool runs_already(const Runs& runs, const std::string& tenant,
                                  const std::string& name) const;
  // How many were heard of within kSilence.
  [[nodiscard]] int64_t alive(const Running& running) const;
  // Streams and viewers of all tenants; streams or viewers of one.
  [[nodiscard]] int64_t running() const;
  [[nodiscard]] int64_t running(const Runs& runs, std::string_view tenant) const;
  // A viewer of the tenant is ended, or else a stream.
  void take_share(const std::string& tenant, bool viewer);

  Clock& clock_;
  const MonoTime started_;
  std::atomic<bool> draining_{false};
  Locked<SectionPtr> section_;
  Runs streams_;
  Runs viewers_;
  struct Traffic {
    TenantTraffic now;      // less what was ended since
    TenantTraffic average;  // of one stream, of one viewer
    // Until then nothing of the tenant begins, and what is measured, having in it what was ended,
    // only lowers `now`.
    MonoTime settles_at{};
  };
  Locked<std::map<std::string, Traffic>> traffic_;
};

}  // namespace frameworks
