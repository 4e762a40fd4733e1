// Edits that share an append, run one upon the other; and what to tell those who asked for them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "store/store.h"

namespace frameworks {

// An edit that waits for its turn.
struct Pending {
  Actor actor;
  Edit edit;
  std::function<void(Result<Committed>)> done;
};

// Runs an edit, and then `derive` (which may be null), on the working snapshot. One that fails
// leaves it as it was.
Result<Committed> apply(const Pending& pending, Snapshot& working, WallTime time,
                        const Edit& derive, const SealKeys* seal);

// Owned by one thread at a time.
struct Group {
  std::vector<Pending> edits;
  std::vector<Result<Committed>> results;  // without their changes until give_changes()
  std::vector<Change> changes;             // of all, in order
  std::vector<size_t> ends;                // in `changes`, of what each edit did
  Snapshot working;
  uint64_t failures = 0;  // appends that had failed when `working` was begun

  // Runs the edits from the `first` on.
  void run(size_t first, WallTime time, const Edit& derive, const SealKeys* seal);
  void forget_results();
  // After the append: gives each result its changes, and the same to `take`.
  void give_changes(const std::function<void(std::vector<Change>)>& take);
  // Tells everybody, and is empty then. An error is everybody's: refusals too were decided upon a
  // state that is lost.
  void answer(const Status& status);
};

}  // namespace frameworks
