// check-history FILE: whether several servers behaved as one; see linearizability.h.
//
// Prints what was checked, or the first thing wrong. Exit codes: 0 good, 1 wrong, 2 unreadable.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "linearizability.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: check-history FILE\n");
    return 2;
  }
  std::ifstream in(argv[1]);
  if (!in) {
    fmt::print(stderr, "check-history: {}: cannot be read\n", argv[1]);
    return 2;
  }
  const auto history = frameworks::read_history(in);
  if (!history) {
    fmt::print(stderr, "check-history: {}\n", history.error().text());
    return 2;
  }
  if (const auto wrong = frameworks::find_violation(*history)) {
    fmt::print("{}\n", *wrong);
    return 1;
  }
  fmt::print("{} operations, {} log entries, {} watchers: good\n", history->operations.size(),
             history->log.size(), history->watches.size());
  return 0;
}
