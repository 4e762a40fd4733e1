#include "store/group.h"

#include <iterator>

#include "store/draft.h"

namespace frameworks {

Result<Committed> apply(const Pending& pending, Snapshot& working, WallTime time,
                        const Edit& derive, const SealKeys* seal) {
  Draft draft(working, time, seal);
  Status status = pending.edit(draft);
  if (status && derive) status = derive(draft);
  if (!status) {
    draft.undo();
    return std::move(status.error());
  }
  std::vector<Change> changes = draft.finish(pending.actor);
  return Committed{working.revision(), std::move(changes)};
}

void Group::run(size_t first, WallTime time, const Edit& derive, const SealKeys* seal) {
  results.reserve(edits.size());
  changes.reserve(edits.size());
  ends.reserve(edits.size());
  for (size_t i = first; i < edits.size(); ++i) {
    Result<Committed> result = apply(edits[i], working, time, derive, seal);
    if (result) {
      std::move(result->changes.begin(), result->changes.end(), std::back_inserter(changes));
      result->changes.clear();
    }
    results.push_back(std::move(result));
    ends.push_back(changes.size());
  }
}

void Group::forget_results() {
  results.clear();
  changes.clear();
  ends.clear();
}

void Group::give_changes(const std::function<void(std::vector<Change>)>& take) {
  auto from = changes.begin();
  for (size_t i = 0; i < results.size(); ++i) {
    const auto end = changes.begin() + static_cast<std::ptrdiff_t>(ends[i]);
    if (from == end) continue;
    results[i]->changes.assign(from, end);
    take({std::make_move_iterator(from), std::make_move_iterator(end)});
    from = end;
  }
  changes.clear();
}

void Group::answer(const Status& status) {
  if (!status) results.assign(edits.size(), status.error().with_context("the log is not writable"));
  for (size_t i = 0; i < edits.size(); ++i) edits[i].done(std::move(results[i]));
  edits.clear();
  forget_results();
}

}  // namespace frameworks
