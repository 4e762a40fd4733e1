#include "register_search.h"

#include <algorithm>
#include <optional>

namespace frameworks {

RegisterSearch::RegisterSearch(std::vector<const Operation*> operations,
                               const std::map<std::string, int64_t>& revisions)
    : operations_(std::move(operations)), done_((operations_.size() + 63) / 64) {
  std::map<std::string, int> writer;
  for (int i = 0; i < static_cast<int>(operations_.size()); ++i) {
    const Operation& operation = *operations_[static_cast<size_t>(i)];
    if (operation.writes()) writer[operation.value] = i;
    const auto revision = revisions.find(operation.value);
    revision_of_.push_back(revision == revisions.end() ? 0 : revision->second);
  }
  for (const Operation* operation : operations_) {
    const auto from = writer.find(operation->value);
    read_from_.push_back(operation->value.empty() || from == writer.end() ? kAbsent : from->second);
  }
  link_events();
}

void RegisterSearch::link_events() {
  struct Timed {
    int64_t time;
    bool is_end;  // at the same time calls come first: such operations overlap
    int operation;
  };
  std::vector<Timed> timed;
  for (int i = 0; i < static_cast<int>(operations_.size()); ++i) {
    const Operation& operation = *operations_[static_cast<size_t>(i)];
    timed.push_back({operation.invoked, false, i});
    if (operation.outcome == Operation::Outcome::kOk)
      timed.push_back({operation.returned, true, i});
  }
  std::sort(timed.begin(), timed.end(), [](const Timed& a, const Timed& b) {
    return std::tie(a.time, a.is_end, a.operation) < std::tie(b.time, b.is_end, b.operation);
  });
  end_of_.assign(operations_.size(), -1);
  events_.push_back({});
  for (const Timed& each : timed) {
    const int at = static_cast<int>(events_.size());
    events_.push_back({each.operation, !each.is_end, at - 1, -1});
    events_[static_cast<size_t>(at - 1)].next = at;
    if (!each.is_end) continue;
    end_of_[static_cast<size_t>(each.operation)] = at;
    ++open_ends_;
  }
}

std::optional<int> RegisterSearch::step(int state, int index) const {
  const auto at = static_cast<size_t>(index);
  const Operation& operation = *operations_[at];
  if (operation.kind == Operation::Kind::kRead)
    return read_from_[at] == state ? std::optional(state) : std::nullopt;
  if (operation.kind == Operation::Kind::kCompareAndSet) {
    const int64_t revision = state == kAbsent ? 0 : revision_of_[static_cast<size_t>(state)];
    // A value whose revision nobody ever saw is nobody's expectation.
    if (revision != operation.expected || (state != kAbsent && revision == 0)) return std::nullopt;
  }
  return index;
}

void RegisterSearch::take_out(int call) {
  const auto unlink = [this](int at) {
    const Event& event = events_[static_cast<size_t>(at)];
    events_[static_cast<size_t>(event.previous)].next = event.next;
    if (event.next >= 0) events_[static_cast<size_t>(event.next)].previous = event.previous;
  };
  const auto operation = static_cast<size_t>(events_[static_cast<size_t>(call)].operation);
  unlink(call);
  if (end_of_[operation] >= 0) {
    unlink(end_of_[operation]);
    --open_ends_;
  }
  done_[operation / 64] |= uint64_t{1} << (operation % 64);
}

void RegisterSearch::put_back(int call) {
  const auto link = [this](int at) {
    const Event& event = events_[static_cast<size_t>(at)];
    events_[static_cast<size_t>(event.previous)].next = at;
    if (event.next >= 0) events_[static_cast<size_t>(event.next)].previous = at;
  };
  const auto operation = static_cast<size_t>(events_[static_cast<size_t>(call)].operation);
  done_[operation / 64] &= ~(uint64_t{1} << (operation % 64));
  if (end_of_[operation] >= 0) {
    link(end_of_[operation]);
    ++open_ends_;
  }
  link(call);
}

bool RegisterSearch::see_first_time(int state) {
  std::string key(reinterpret_cast<const char*>(done_.data()), done_.size() * sizeof(uint64_t));
  key.append(reinterpret_cast<const char*>(&state), sizeof(state));
  return seen_.insert(std::move(key)).second;
}

// Takes the last placement back; false when there is none.
bool RegisterSearch::back(int& event) {
  if (placed_.empty()) return false;
  const Placed last = placed_.back();
  placed_.pop_back();
  state_ = last.state_before;
  put_back(last.event);
  event = events_[static_cast<size_t>(last.event)].next;
  return true;
}

bool RegisterSearch::run() {
  int event = events_.front().next;
  while (open_ends_ > 0) {
    const Event& now = events_[static_cast<size_t>(event)];
    if (!now.is_call) {
      // Everything that may come before this end was tried.
      if (stuck_ == nullptr || placed_.size() > best_) {
        best_ = placed_.size();
        stuck_ = operations_[static_cast<size_t>(now.operation)];
      }
      if (!back(event)) return false;
      continue;
    }
    const auto next = step(state_, now.operation);
    if (next) {
      take_out(event);
      if (see_first_time(*next)) {
        placed_.push_back({event, std::exchange(state_, *next)});
        event = events_.front().next;
        continue;
      }
      put_back(event);
    }
    event = now.next;
  }
  return true;
}

}  // namespace frameworks
