// The network between the server and its agents: a stream keeps its order; while faults last some
// messages are lost (then the stream breaks, as one does; heartbeats are just lost), doubled, or
// late.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "frameworks/v1/agent.pb.h"
#include "model/kind.h"
#include "simulation/calendar.h"
#include "simulation/chance.h"

namespace frameworks {

// Most messages are these: they are no messages of protobuf until they arrive.
struct Beat {
  int64_t sequence = 0;
  int64_t seconds = 0;  // the agent's clock
};
using FromAgent = std::shared_ptr<const pb::AgentMessage>;
using FromServer = std::shared_ptr<const pb::ServerMessage>;

struct NetworkMessage {
  int agent = 0;
  uint64_t stream = 0;
  std::variant<Beat, FromAgent, FromServer> content;

  [[nodiscard]] bool is_up() const { return content.index() != 2; }
};

class Network {
 public:
  // One message in `1 / loss` is lost, where it is above 0.
  Network(Chance& chance, size_t agents, MonoTime start, Duration step, double loss)
      : chance_(chance),
        now_(start),
        messages_(start, step),
        breaks_(start, step),
        links_(agents),
        loss_(loss),
        is_lossy_(loss > 0) {}

  [[nodiscard]] bool is_lossy() const { return is_lossy_; }
  // What is on its way stays as late as it is.
  void set_lossy(bool lossy) { is_lossy_ = lossy && loss_ > 0; }

  void post(NetworkMessage message);
  // The agent's next stream waits for nothing of the one before.
  void forget(int agent) { links_[static_cast<size_t>(agent)] = {now_, now_}; }

  using Deliver = std::function<void(NetworkMessage)>;
  using Break = std::function<void(int agent, uint64_t stream)>;
  // A step passed: what has arrived, in order of time, then the streams that broke.
  void step(MonoTime now, const Deliver& deliver, const Break& break_stream);

  [[nodiscard]] int64_t posted() const { return posted_; }

 private:
  struct Arrival {
    MonoTime at;
    NetworkMessage message;
  };
  struct BrokenStream {
    int agent;
    uint64_t stream;
  };

  Chance& chance_;
  MonoTime now_;
  Calendar<Arrival> messages_;
  Calendar<BrokenStream> breaks_;
  // When the newest message of the stream arrives, down and up.
  std::vector<std::array<MonoTime, 2>> links_;
  const double loss_;
  bool is_lossy_;
  int64_t posted_ = 0;
};

}  // namespace frameworks
