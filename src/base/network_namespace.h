// A network namespace of the calling thread's own, for tests that change interfaces and filters.
//
// Programs that the thread starts are inside too; other threads are not.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"

namespace frameworks {

class NetworkNamespace {
 public:
  NetworkNamespace() = default;
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;
  // Back to where the thread was before enter().
  ~NetworkNamespace() {
    if (inside_) setns(home_.get(), CLONE_NEWNET);
  }

  // Makes it and puts the thread inside; false without the right to.
  bool enter() {
    home_ = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    inside_ = home_.valid() && unshare(CLONE_NEWNET) == 0;
    own_ = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    return inside_;
  }
  // Puts the thread inside again.
  void resume() const { setns(own_.get(), CLONE_NEWNET); }
  // Names it to programs, while the object lives.
  [[nodiscard]] std::string path() const {
    return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(own_.get());
  }

 private:
  Fd home_;
  Fd own_;
  bool inside_ = false;
};

}  // namespace frameworks
