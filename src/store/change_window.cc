#include "store/change_window.h"

#include <algorithm>

namespace frameworks {

void ChangeWindow::add(std::vector<Change> changes) {
  std::vector<Entry> dropped;  // freed outside the lock
  auto entry = std::make_shared<const std::vector<Change>>(std::move(changes));
  state_.with([&](State& state) {
    state.changes += entry->size();
    state.entries.push_back(std::move(entry));
    while (state.changes > limit_) {
      Entry& oldest = state.entries.front();
      state.changes -= oldest->size();
      state.start = oldest->front().revision;
      dropped.push_back(std::move(oldest));
      state.entries.pop_front();
    }
  });
}

void ChangeWindow::start_again(Revision start) {
  State fresh{{}, 0, start};
  state_.with([&](State& state) { std::swap(state, fresh); });
}

std::optional<std::vector<Change>> ChangeWindow::read(Revision after, Revision last,
                                                      size_t limit) const {
  std::vector<Entry> found;
  size_t count = 0;
  const bool here = state_.with([&](const State& state) {
    if (after < state.start) return false;
    auto at = std::upper_bound(
        state.entries.begin(), state.entries.end(), after,
        [](Revision revision, const Entry& entry) { return revision < entry->front().revision; });
    for (; at != state.entries.end() && count < limit && (*at)->front().revision <= last; ++at) {
      found.push_back(*at);
      count += (*at)->size();
    }
    return true;
  });
  if (!here) return std::nullopt;
  std::vector<Change> out;
  out.reserve(count);
  for (const Entry& entry : found) out.insert(out.end(), entry->begin(), entry->end());
  return out;
}

Revision ChangeWindow::start() const {
  return state_.with([](const State& state) { return state.start; });
}

}  // namespace frameworks
