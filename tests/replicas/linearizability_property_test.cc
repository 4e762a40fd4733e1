// The checker against simulated servers: whatever one register a key could have answered passes;
// what a broken one answered is found.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "linearizability.h"

namespace frameworks {
namespace {

struct Cell {
  std::string value;
  int64_t revision = 0;
};

// Clients of one store that does each operation at a moment between its invocation and its end.
// Some ends get lost, before or after the store did the work.
class Simulation {
 public:
  Simulation(int operations, int keys, int clients) {
    std::vector<int64_t> free(static_cast<size_t>(clients), 0);
    for (int i = 0; i < operations; ++i) {
      const int client = *rc::gen::inRange(0, clients);
      const int64_t begin = free[static_cast<size_t>(client)] + *rc::gen::inRange(1, 20);
      plan(i, client, begin, *rc::gen::inRange(0, keys));
      free[static_cast<size_t>(client)] = begin + kLongest;
    }
    std::sort(moments_.begin(), moments_.end());
    for (const auto& [time, index] : moments_) happen(history_.operations[index], lost_[index]);
  }

  History& history() { return history_; }

 private:
  static constexpr int64_t kLongest = 60;

  void plan(int number, int client, int64_t begin, int key) {
    Operation operation;
    operation.kind = *rc::gen::element(Operation::Kind::kWrite, Operation::Kind::kCompareAndSet,
                                       Operation::Kind::kRead);
    operation.process = client;
    operation.key = std::string(1, static_cast<char>('a' + key));
    if (operation.writes()) operation.value = "v" + std::to_string(number);
    operation.invoked = begin;
    const int64_t moment = begin + *rc::gen::inRange(0, 50);
    operation.returned = moment + *rc::gen::inRange<int64_t>(0, begin + kLongest - moment);
    // 1 and 2 in ten: the answer is lost after, or the question before, the store did it.
    const int fate = *rc::gen::inRange(0, 10);
    if (fate == 1 || fate == 2) {
      operation.outcome = Operation::Outcome::kUnknown;
      operation.returned = kNever;
    }
    // A question that is under way for long may be done when nobody waits any more.
    const int64_t late = fate == 1 ? *rc::gen::element<int64_t>(0, 0, 200) : 0;
    moments_.emplace_back(moment + late, history_.operations.size());
    lost_.push_back(fate == 2);
    history_.operations.push_back(operation);
  }

  void happen(Operation& operation, bool lost) {
    if (lost) return;
    Cell& cell = cells_[operation.key];
    const bool is_known = operation.outcome == Operation::Outcome::kOk;
    if (!operation.writes()) {
      operation.value = cell.value;
      operation.revision = cell.revision;
      operation.as_of = revision_;
      if (is_known) told_.insert(cell.revision);
      return;
    }
    if (operation.kind == Operation::Kind::kCompareAndSet) {
      // Nobody expects a revision that nobody was told of.
      const int64_t known = told_.contains(cell.revision) ? cell.revision : 0;
      operation.expected = *rc::gen::element(known, known, int64_t{0});
      if (operation.expected != cell.revision) {
        if (is_known) operation.outcome = Operation::Outcome::kRefused;
        return;
      }
    }
    cell = {operation.value, ++revision_};
    if (is_known) {
      operation.revision = revision_;
      told_.insert(revision_);
    }
    history_.log.push_back({revision_, operation.key, operation.value});
  }

  History history_;
  std::vector<bool> lost_;
  std::vector<std::pair<int64_t, size_t>> moments_;
  std::map<std::string, Cell> cells_;
  std::set<int64_t> told_;  // revisions that a client knows of
  int64_t revision_ = 0;
};

Simulation simulate() {
  return Simulation(*rc::gen::inRange(1, 80), *rc::gen::inRange(1, 4), *rc::gen::inRange(1, 7));
}

TEST(LinearizabilityProperty, WhatOneStoreAnsweredIsGoodWithItsLogAndWithout) {
  EXPECT_TRUE(rc::check([] {
    Simulation simulation = simulate();
    History& history = simulation.history();
    RC_ASSERT(find_violation(history).value_or("good") == "good");
    history.log.clear();
    RC_ASSERT(find_violation(history).value_or("good") == "good");
  }));
}

TEST(LinearizabilityProperty, AnAcknowledgedWriteMissingInTheLogIsFound) {
  EXPECT_TRUE(rc::check([] {
    Simulation simulation = simulate();
    History& history = simulation.history();
    std::vector<size_t> acknowledged;
    for (size_t i = 0; i < history.log.size(); ++i)
      for (const Operation& operation : history.operations)
        if (operation.value == history.log[i].value && operation.writes() &&
            operation.outcome == Operation::Outcome::kOk)
          acknowledged.push_back(i);
    RC_PRE(!acknowledged.empty());
    history.log.erase(history.log.begin() +
                      static_cast<std::ptrdiff_t>(*rc::gen::elementOf(acknowledged)));
    // An empty log is one that is not known.
    RC_PRE(!history.log.empty());
    RC_ASSERT(find_violation(history).has_value());
  }));
}

TEST(LinearizabilityProperty, AReadOfWhatWasReplacedBeforeItBeganIsFoundWithoutALog) {
  EXPECT_TRUE(rc::check([] {
    Simulation simulation = simulate();
    History& history = simulation.history();
    history.log.clear();
    // Replaced: two acknowledged writes of one key, one wholly after the other. The read comes
    // last.
    std::vector<std::pair<const Operation*, const Operation*>> pairs;
    int64_t end = 0;
    for (const Operation& first : history.operations) {
      if (first.returned != kNever) end = std::max(end, first.returned);
      for (const Operation& second : history.operations)
        if (first.writes() && second.writes() && first.key == second.key && first.revision != 0 &&
            second.revision != 0 && first.returned < second.invoked)
          pairs.emplace_back(&first, &second);
    }
    RC_PRE(!pairs.empty());
    const Operation* old = (*rc::gen::elementOf(pairs)).first;
    Operation read;
    read.kind = Operation::Kind::kRead;
    read.key = old->key;
    read.value = old->value;
    read.revision = old->revision;
    read.invoked = end + 1;
    read.returned = end + 2;
    history.operations.push_back(read);
    RC_ASSERT(find_bad_order(history).has_value());
  }));
}

}  // namespace
}  // namespace frameworks
