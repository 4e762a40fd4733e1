// How late a call is though nobody computes anything: what the machine itself adds to a tail, since
// each processor is taken away from its threads now and then.
#pragma once

#include "client.h"

namespace frameworks::bench {

// Threads on the two processors look at the clock for `length` and do nothing else. A call that is
// due goes out once `client` runs, is answered once `server` runs after that, and the answer is
// there once `client` runs again. Times of calls at an even pace of `rate` a second.
Histogram machine_stalls(int client, int server, double rate, std::chrono::milliseconds length);

}  // namespace frameworks::bench
