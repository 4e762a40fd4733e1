// What clients asked of several servers and what they were told, for the checker.
//
// A history is a file of JSON lines:
//
//   {"op":"write","process":3,"key":"a","value":"w17","invoked":10,"returned":25,"outcome":"ok","revision":8}
//   {"op":"cas", ... ,"expected":8}          writes if the key's revision is `expected` (0: absent)
//   {"op":"read", ... ,"value":"w17","revision":8,"as_of":9,"fresh":true}
//   {"log":true,"revision":8,"key":"a","value":"w17"}             the log, whole and in order
//   {"watch":"w2","from":4}, {"watch":"w2","revision":8,"key":"a","value":"w17"},
//   {"watch":"w2","to":9}
#pragma once

#include <cstdint>
#include <istream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace frameworks {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct Operation {
  enum class Kind { kWrite, kCompareAndSet, kRead };
  enum class Outcome {
    kOk,       // acknowledged, or answered
    kRefused,  // surely without effect
    kUnknown,  // nobody heard the end: may happen or not, at any time after it was asked for
  };
  Kind kind = Kind::kWrite;
  Outcome outcome = Outcome::kOk;
  int process = 0;
  std::string key;
  // What is written, each value once in a history; or what was read, empty: the key is absent.
  std::string value;
  // By one clock for all.
  int64_t invoked = 0;
  int64_t returned = kNever;
  // That the write was given, or that the read value has. 0: not told, or absent.
  int64_t revision = 0;
  // Of a compare-and-set; 0: the key must be absent.
  int64_t expected = 0;
  // Of a read: the revision that the answer said to be of. 0: not told.
  int64_t as_of = 0;
  // Of a read: it promised to be no older than the moment it was asked for.
  bool fresh = true;

  [[nodiscard]] bool writes() const { return kind != Kind::kRead; }
  [[nodiscard]] std::string text() const;
};

struct LogEntry {
  int64_t revision = 0;
  std::string key;
  std::string value;
  bool operator==(const LogEntry&) const = default;
};

// What one watcher was told of the revisions after `from` up to `to`, over any number of servers.
struct WatchRecord {
  int64_t from = 0;
  int64_t to = 0;
  std::vector<LogEntry> events;
};

struct History {
  std::vector<Operation> operations;
  // Empty: not known.
  std::vector<LogEntry> log;
  std::map<std::string, WatchRecord> watches;
};

// kInvalidArgument with the number of the line that is no part of a history.
Result<History> read_history(std::istream& in);

}  // namespace frameworks
