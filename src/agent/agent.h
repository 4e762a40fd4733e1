// A node's agent: joins, keeps one stream open, makes the node match its plan.
//
//   keys made ─► last good plan in force ─► joined ─► connected ⇄ away
//                                                        │ plan ─► applied ─► told
//
// Threads: run()'s own (connects, heartbeats, writes to the stream), one that reads the stream, one
// that applies plans, one for checks, one for the media authority, two for the media server's
// traffic. Queues between them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "agent/checks.h"
#include "agent/drain_sessions.h"
#include "agent/identity.h"
#include "agent/link.h"
#include "agent/media_authority.h"
#include "agent/media_traffic.h"
#include "agent/node_load.h"
#include "agent/plan.h"
#include "agent/tenancy.h"
#include "base/reach.h"

namespace frameworks {

struct AgentOptions {
  std::string server;  // "address:port"
  std::string node;
  std::filesystem::path state = "/var/lib/frameworks-agent";
  std::filesystem::path token_file = "/etc/frameworks/join-token";
  std::filesystem::path ca_file = "/etc/frameworks/ca.pem";
  // Empty: no media authority.
  std::string media_listen = "127.0.0.1:18010";
  // Where nginx-rtmp tells its statistics; empty: limits in Mbit/s do not count RTMP.
  std::string media_statistics = "http://127.0.0.1:18011/statistics";
  // Where nginx tells of each file that it sent; empty: limits in Mbit/s do not count HLS.
  std::string media_log = "127.0.0.1:18012";
  bool simulated = false;
  // Although simulated, it stands in the node's network: silent peers are looked for from here.
  bool looks_for_peers = false;
};

// Reconnecting: how long to wait after so many failures in a row. 0.2 s, doubled to 5 s, and half
// of it random, so that a fleet does not come back in one wave. `random` is in [0, 1).
Duration backoff(int failures, double random);

class Agent {
 public:
  // Makes keys, puts the last good plan in force, opens the media authority. The fleet is not asked
  // yet.
  static Result<std::unique_ptr<Agent>> start(AgentOptions options, NodeDrivers drivers,
                                              std::unique_ptr<Prober> prober, Clock& clock);
  ~Agent();

  // Joins and keeps the stream until stopped.
  void run(const std::stop_token& stop);
  // As JSON, for /v1/status.
  [[nodiscard]] std::string status_json() const;
  [[nodiscard]] bool connected() const { return connected_.load(); }
  // -1: none.
  [[nodiscard]] int media_port() const { return media_ == nullptr ? -1 : media_->port(); }

 private:
  // What the threads have for the one that owns the stream.
  struct Mailbox {
    std::deque<pb::ServerMessage> received;
    std::deque<pb::PlanAck> acks;
    std::map<std::pair<std::string, std::string>, pb::CheckReport> checks;  // newest of each
    std::deque<pb::ProbeResult> probed;
    bool ended = false;
  };
  Agent(AgentOptions options, Clock& clock) : options_(std::move(options)), clock_(clock) {}

  bool try_join_if_needed();
  void complain(const std::string& about);
  Error run_session(const std::stop_token& stop);
  Error serve(Link& link, const std::stop_token& stop);
  bool say_hello(Link& link);
  bool send_reports(Link& link, Mailbox& mail);
  bool renew_if_due(Link& link);
  bool send_heartbeat(Link& link, int64_t sequence);
  void handle(pb::ServerMessage message);
  void set_interval(const pb::Welcome& welcome);
  void look_for(const pb::ProbePeer& probe);
  void apply_loop(const std::stop_token& stop);
  void post(const std::function<void(Mailbox&)>& change);

  AgentOptions options_;
  Clock& clock_;
  std::optional<Identity> identity_;
  Tenancy tenancy_{clock_};
  DrainSessions sessions_{tenancy_, clock_};
  std::unique_ptr<Checks> checks_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<MediaAuthority> media_;
  std::unique_ptr<MediaLog> media_log_;
  std::unique_ptr<MediaTraffic> traffic_;
  LoadMeter load_;
  std::unique_ptr<ReachDesk> reach_;

  std::mutex mutex_;  // guards what follows, up to `changed_`
  Mailbox mailbox_;
  std::deque<pb::PlanUpdate> updates_;
  std::condition_variable_any changed_;

  std::atomic<bool> connected_ = false;
  std::atomic<int64_t> last_contact_ =
      0;  // when the connection was lost, as MonoTime in ns; 0: never
  Duration heartbeat_interval_ = std::chrono::seconds(1);
  MonoTime next_beat_{};
  MonoTime renew_not_before_{};
  std::string refused_token_;  // the token that was refused last, not to be tried again
  std::string last_complaint_;
  bool welcomed_ = false;
  std::jthread applier_;
};

}  // namespace frameworks
