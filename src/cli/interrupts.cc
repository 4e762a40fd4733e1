#include "cli/interrupts.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>

#include "cli/command.h"

namespace frameworks::cli {
namespace {

sigset_t signals() {
  sigset_t out;
  sigemptyset(&out);
  sigaddset(&out, SIGINT);
  sigaddset(&out, SIGUSR1);  // the destructor's, to end the thread
  return out;
}

}  // namespace

Interrupts::Interrupts() {
  const sigset_t set = signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { wait(); });
}

Interrupts::~Interrupts() {
  pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

void Interrupts::wait() {
  const sigset_t set = signals();
  while (true) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0 || signal == SIGUSR1) return;
    if (!taken_over_ || source_.stop_requested()) _exit(kExitInterrupted);
    source_.request_stop();
  }
}

}  // namespace frameworks::cli
