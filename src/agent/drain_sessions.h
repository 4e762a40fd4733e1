// How many sessions the node's instances still have, while the node is drained.
//
// The plan says of which instances, and where to ask: at a URL of the instance's, or at the agent's
// own count of the streams that the media server told it of. Asked each second, on a thread of its
// own that runs only while there is something to ask.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <thread>

#include "agent/tenancy.h"
#include "base/clock.h"
#include "base/locked.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

// A number, or JSON with the number "sessions"; nothing when it is neither, or below 0.
std::optional<int64_t> parse_sessions(std::string_view body);
// GET of "http://address:port/path", within 2 s and `most` bytes; more is cut off.
// kInvalidArgument, kUnavailable.
Result<std::string> ask_http(const std::string& url, size_t most = 64 * 1024);

// Threadsafe.
class DrainSessions {
 public:
  DrainSessions(Tenancy& tenancy, Clock& clock) : tenancy_(tenancy), clock_(clock) {}
  ~DrainSessions() { thread_ = {}; }

  // Also tells the media authority whether it may let new streams begin. One thread.
  void set(const pb::ChecksSection& section);
  // By instance; -1 where the number could not be learnt yet, or is not known any more.
  [[nodiscard]] std::map<std::string, int64_t> counts() const;

 private:
  static constexpr Duration kAsk = std::chrono::seconds(1);
  static constexpr const char* kAgent = "agent";

  void ask(const std::map<std::string, std::string>& sources, const std::stop_token& stop);

  Tenancy& tenancy_;
  Clock& clock_;
  Locked<std::map<std::string, std::string>> sources_;  // by instance
  Locked<std::map<std::string, int64_t>> answers_;      // of URLs, by instance
  std::jthread thread_;
};

}  // namespace frameworks
