// The nodes' streams: who is connected, what each shall have, what each has.
//
// A thread follows the store, recomputes the plans of the nodes that a change affects (and of no
// others), and pokes their streams; a stream pulls what its node lacks. Nothing queues up: a slow
// node's changes coalesce into the next update. Threadsafe.
//
//   stream opened ──hello──► greeted ──welcome, plan──► sent ──ack──► has it
//                                          ▲                           │ plan changed, or apply
//                                          failed └───────────────────────────┘
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"
#include "runtime/sessions/convergence.h"
#include "runtime/sessions/join.h"
#include "runtime/sessions/plan_source.h"
#include "store/store.h"

namespace frameworks {

// One node's stream, as its transport sees it. Threadsafe.
class Session {
 public:
  virtual ~Session() = default;  // the node is disconnected
  // A message of the node. An error ends the stream with it.
  virtual Status receive(const pb::AgentMessage& message) = 0;
  // The next message for the node; empty: nothing now, wait for a poke.
  virtual std::optional<pb::ServerMessage> next() = 0;
};

class Sessions {
 public:
  struct Options {
    // How often few nodes tell that they live; very many do so more rarely (heartbeat_pace.h).
    Duration heartbeat = std::chrono::seconds(1);
    // This server's name, written down with each node that connects.
    std::string server;
    // What another living server's report() says; null: there are no others.
    std::function<std::string(const std::string& server)> report_of;
    // After this long, a section that a node could not apply is sent again.
    Duration retry = std::chrono::seconds(5);
    // Renews certificates.
    SignNode sign;
    // Signs of life and check reports, for who judges health. Must not block.
    std::function<void(const std::string& node)> on_alive;
    std::function<void(const std::string& node, const pb::CheckReport&)> on_check;
    // Of heartbeats, instead of on_alive where it is set.
    std::function<void(const std::string& node, const pb::Heartbeat&)> on_heartbeat;
    std::function<void(const std::string& node, const pb::ProbeResult&)> on_probed;
    // The node was told to send its heartbeats this often.
    std::function<void(const std::string& node, Duration interval)> on_interval;
  };

  // Plans every node, then follows the store. `store`, `clock` and `source` must outlive it.
  static Result<std::unique_ptr<Sessions>> start(Store& store, Clock& clock,
                                                 const PlanSource& source, Options options);
  virtual ~Sessions() = default;  // all sessions must be gone

  // Both may yet be called for a moment after the session is gone.
  struct Stream {
    std::function<void()> poke;        // there may be something to pull; must not block
    std::function<void(Error)> close;  // end the stream; must not block
  };
  // The node's identity was verified. An earlier stream of the same node is closed.
  virtual Result<std::shared_ptr<Session>> open(const std::string& node, Stream stream) = 0;

  // Sends the node something beside its plan; false when it is not connected here, or has too much
  // to read already.
  virtual bool send(const std::string& node, pb::ServerMessage message) = 0;

  [[nodiscard]] virtual int connected() const = 0;
  [[nodiscard]] virtual bool connected(const std::string& node) const = 0;
  // Whether the node has all that it shall have as of now, and nothing newer is being planned.
  [[nodiscard]] virtual bool converged(const std::string& node) const = 0;

  // Where `revision` has arrived; every waiting node with a reason in words. Nodes whose streams
  // are with other servers as these reported it a moment ago.
  [[nodiscard]] virtual std::vector<Convergence::Plane> convergence(Revision revision) const = 0;
  // For the other servers: a PeerReport as text.
  [[nodiscard]] virtual std::string report() const = 0;
};

}  // namespace frameworks
