// Control-C: ends the program, or, once a command has taken over, asks it to stop.
#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

namespace frameworks::cli {

// One per process, made before any other thread, so that all of them leave SIGINT to it.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
  // From now on the first interrupt requests stop; a second one ends the program all the same.
  void take_over() { taken_over_ = true; }

 private:
  void wait();

  std::stop_source source_;
  std::atomic<bool> taken_over_{false};
  std::thread thread_;
};

}  // namespace frameworks::cli
