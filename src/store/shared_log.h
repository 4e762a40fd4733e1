// What a log offers beyond Log when several servers append to it. See Log::shared().
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace frameworks {

// A server that uses the log, as it last told of itself.
struct ServerBeat {
  std::string name;
  // Another with each start of the process.
  std::string incarnation;
  // Counts up. Nobody's clock is compared with another's: who looks at it twice and finds the same
  // number knows how long the server has been silent.
  int64_t beat = 0;
  // What it has to tell the others; see the writer of it.
  std::string report;
};

class SharedLog {
 public:
  virtual ~SharedLog() = default;

  // From now on `changed` is called, on a thread of the log, when another server may have appended
  // something; must not block. Also when nobody tells: the log looks by itself at least every
  // quarter of a second. Once.
  virtual void follow(std::function<void()> changed) = 0;

  // For who lost against other servers' appends: until end_turn(), or the end of the next append(),
  // nobody else appends. Of the same thread as append(). A holder that stands still loses it after
  // seconds.
  virtual Status take_turn() = 0;
  virtual void end_turn() = 0;

  // Enters this server among the others, in place of an earlier process of that name.
  virtual Status enter(const std::string& name, const std::string& incarnation) = 0;
  // Counts up the beat of this server and replaces its report; everybody's beats, the own too.
  // kFailedPrecondition: another process has entered under this name. Threadsafe.
  virtual Result<std::vector<ServerBeat>> beat(const std::string& name,
                                               const std::string& incarnation,
                                               const std::string& report) = 0;
  virtual Result<std::vector<ServerBeat>> beats() = 0;
  virtual Status leave(const std::string& name, const std::string& incarnation) = 0;

  // What is kept under `name`: `value`, if nothing was. For what all servers must have alike; no
  // secrets. Threadsafe.
  virtual Result<std::string> keep(const std::string& name, const std::string& value) = 0;
  // Empty: nothing is.
  virtual Result<std::string> kept(const std::string& name) = 0;
};

}  // namespace frameworks
