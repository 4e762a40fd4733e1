#include "store/change_window.h"

#include <algorithm>

namespace frameworks {

void ChangeWindow::add(const std::vector<Changes>& transactions, std::vector<Changes>& dropped) {
  state_.with([&](State& state) {
    for (const Changes& transaction : transactions) {
      state.changes += transaction.size();
      state.entries.push_back(transaction);
    }
    while (state.changes > limit_) {
      Changes& oldest = state.entries.front();
      state.changes -= oldest.size();
      state.start = oldest.revision();
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
  std::vector<Changes> found;
  size_t count = 0;
  const bool here = state_.with([&](const State& state) {
    if (after < state.start) return false;
    auto at = std::upper_bound(
        state.entries.begin(), state.entries.end(), after,
        [](Revision revision, const Changes& entry) { return revision < entry.revision(); });
    for (; at != state.entries.end() && count < limit && at->revision() <= last; ++at) {
      found.push_back(*at);
      count += at->size();
    }
    return true;
  });
  if (!here) return std::nullopt;
  std::vector<Change> out;
  out.reserve(count);
  for (const Changes& entry : found) out.insert(out.end(), entry.begin(), entry.end());
  return out;
}

Revision ChangeWindow::start() const {
  return state_.with([](const State& state) { return state.start; });
}

}  // namespace frameworks
