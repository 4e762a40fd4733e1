// Histories written down as tables, for the tests of the checker.
#pragma once

#include <string>
#include <utility>

#include "history.h"

namespace frameworks {

struct Span {
  int64_t from;
  int64_t to;
};

class HistoryBuilder {
 public:
  // Acknowledged writes, over any value or over one revision.
  HistoryBuilder& wrote(Span at, std::string value, int64_t revision, std::string key = "k") {
    return add(Operation::Kind::kWrite, at, std::move(value), revision, std::move(key));
  }
  HistoryBuilder& swapped(Span at, int64_t expected, std::string value, int64_t revision,
                          std::string key = "k") {
    add(Operation::Kind::kCompareAndSet, at, std::move(value), revision, std::move(key));
    history_.operations.back().expected = expected;
    return *this;
  }
  // A fresh read.
  HistoryBuilder& read(Span at, std::string value, int64_t revision, std::string key = "k") {
    return add(Operation::Kind::kRead, at, std::move(value), revision, std::move(key));
  }
  // A read that only says of which revision it is.
  HistoryBuilder& read_as_of(Span at, int64_t as_of, std::string value, int64_t revision) {
    add(Operation::Kind::kRead, at, std::move(value), revision, "k");
    history_.operations.back().fresh = false;
    history_.operations.back().as_of = as_of;
    return *this;
  }
  // The last one ended otherwise.
  HistoryBuilder& unknown() {
    history_.operations.back().outcome = Operation::Outcome::kUnknown;
    history_.operations.back().returned = kNever;
    history_.operations.back().revision = 0;
    return *this;
  }
  HistoryBuilder& refused() {
    history_.operations.back().outcome = Operation::Outcome::kRefused;
    history_.operations.back().revision = 0;
    return *this;
  }
  HistoryBuilder& logged(int64_t revision, std::string value, std::string key = "k") {
    history_.log.push_back({revision, std::move(key), std::move(value)});
    return *this;
  }
  HistoryBuilder& watched(const std::string& name, int64_t from, int64_t to,
                          std::vector<LogEntry> events) {
    history_.watches[name] = {from, to, std::move(events)};
    return *this;
  }
  [[nodiscard]] const History& history() const { return history_; }

 private:
  HistoryBuilder& add(Operation::Kind kind, Span at, std::string value, int64_t revision,
                      std::string key) {
    Operation operation;
    operation.kind = kind;
    operation.process = static_cast<int>(history_.operations.size());
    operation.key = std::move(key);
    operation.value = std::move(value);
    operation.invoked = at.from;
    operation.returned = at.to;
    operation.revision = revision;
    history_.operations.push_back(std::move(operation));
    return *this;
  }

  History history_;
};

}  // namespace frameworks
