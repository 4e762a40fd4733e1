// The newest transactions, in memory, for watchers; bounded by the number of changes. Threadsafe.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/locked.h"
#include "store/changes.h"

namespace frameworks {

class ChangeWindow {
 public:
  // `start`: the revision before the first that will be added.
  ChangeWindow(size_t limit, Revision start) : limit_(limit), state_(State{{}, 0, start}) {}

  // Transactions in order of revision, each with a change at least. What falls out goes to
  // `dropped`, so that who calls says when it is freed.
  void add(const std::vector<Changes>& transactions, std::vector<Changes>& dropped);
  // Forgets everything: what comes next is after `start`.
  void start_again(Revision start);
  // Whole transactions after `after`, up to `last`, until there are `limit` changes or more;
  // nothing when some of them are no longer here.
  [[nodiscard]] std::optional<std::vector<Change>> read(Revision after, Revision last,
                                                        size_t limit) const;
  // What comes after this revision is here.
  [[nodiscard]] Revision start() const;

 private:
  struct State {
    std::deque<Changes> entries;
    size_t changes = 0;
    Revision start = 0;
  };

  const size_t limit_;
  Locked<State> state_;
};

}  // namespace frameworks
