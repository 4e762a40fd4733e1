#include "linearizability.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "register_search.h"

namespace frameworks {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;
using Found = std::optional<std::string>;

// Value → its write. Values are unique over all keys.
std::map<std::string, const Operation*> writes_of(const History& history) {
  std::map<std::string, const Operation*> out;
  for (const Operation& operation : history.operations)
    if (operation.writes()) out.emplace(operation.value, &operation);
  return out;
}

// Value → revision, as far as anybody was told.
std::map<std::string, int64_t> revisions_of(const History& history) {
  std::map<std::string, int64_t> out;
  for (const Operation& operation : history.operations)
    if (operation.outcome == Outcome::kOk && !operation.value.empty() && operation.revision != 0)
      out.emplace(operation.value, operation.revision);
  for (const LogEntry& entry : history.log) out.emplace(entry.value, entry.revision);
  return out;
}

// The key's value in the log as of a revision; null: absent.
const LogEntry* value_at(const std::vector<const LogEntry*>& entries, int64_t revision) {
  const auto after =
      std::upper_bound(entries.begin(), entries.end(), revision,
                       [](int64_t wanted, const LogEntry* e) { return wanted < e->revision; });
  return after == entries.begin() ? nullptr : *std::prev(after);
}

}  // namespace

Found find_bad_value(const History& history) {
  std::map<std::string, const Operation*> writes;
  for (const Operation& operation : history.operations)
    if (operation.writes() && !writes.emplace(operation.value, &operation).second)
      return fmt::format("the history is none: \"{}\" is written twice", operation.value);
  std::map<std::string, const Operation*> seen;  // by value: whoever was told its revision first
  for (const Operation& operation : history.operations) {
    if (operation.outcome != Outcome::kOk || operation.value.empty()) continue;
    const auto write = writes.find(operation.value);
    if (write == writes.end() || write->second->key != operation.key)
      return fmt::format("a value from nowhere: {}", operation.text());
    if (write->second->outcome == Outcome::kRefused)
      return fmt::format("a refused write took effect: {}; {}", write->second->text(),
                         operation.text());
    if (operation.revision == 0) continue;
    const auto [first, added] = seen.emplace(operation.value, &operation);
    if (!added && first->second->revision != operation.revision)
      return fmt::format("applied twice: {}; {}", first->second->text(), operation.text());
  }
  return std::nullopt;
}

Found find_bad_order(const History& history) {
  std::set<std::string> observed;
  for (const Operation& operation : history.operations)
    if (operation.kind == Kind::kRead && operation.outcome == Outcome::kOk)
      observed.insert(operation.value);
  for (const LogEntry& entry : history.log) observed.insert(entry.value);
  std::map<std::string, std::vector<const Operation*>> keys;
  for (const Operation& operation : history.operations) {
    if (operation.outcome == Outcome::kRefused) continue;
    // A write that nobody ever saw may as well not have happened: what follows it in any order is
    // another write that does not depend on it. Leaving it out halves the search.
    if (operation.outcome == Outcome::kUnknown &&
        (!operation.writes() || !observed.contains(operation.value)))
      continue;
    if (operation.kind == Kind::kRead && !operation.fresh) continue;
    keys[operation.key].push_back(&operation);
  }
  const auto revisions = revisions_of(history);
  for (auto& [key, operations] : keys) {
    RegisterSearch search(std::move(operations), revisions);
    if (!search.run())
      return fmt::format("no order of the operations explains them; none gets past {}",
                         search.stuck()->text());
  }
  return std::nullopt;
}

Found find_bad_revision(const History& history) {
  struct Event {
    int64_t time;
    bool is_end;
    int64_t revision;
    const Operation* operation;
  };
  const auto revisions = revisions_of(history);
  std::vector<Event> events;
  std::map<int64_t, const Operation*> owners;
  for (const Operation& operation : history.operations) {
    if (operation.outcome == Outcome::kRefused) continue;
    const auto known = revisions.find(operation.value);
    const int64_t revision = known == revisions.end() ? 0 : known->second;
    if (revision == 0 || (!operation.writes() && operation.outcome != Outcome::kOk)) continue;
    if (operation.writes()) {
      if (const auto [owner, added] = owners.emplace(revision, &operation); !added)
        return fmt::format("one revision for two writes: {}; {}", owner->second->text(),
                           operation.text());
      events.push_back({operation.invoked, false, revision, &operation});
    }
    if (operation.outcome == Outcome::kOk)
      events.push_back({operation.returned, true, revision, &operation});
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tie(a.time, a.is_end) < std::tie(b.time, b.is_end);
  });
  Event newest{0, true, 0, nullptr};
  for (const Event& event : events) {
    if (event.is_end) {
      if (event.revision > newest.revision) newest = event;
    } else if (event.revision <= newest.revision) {
      return fmt::format("a later write has an older revision: {}; then {} (revision {})",
                         newest.operation->text(), event.operation->text(), event.revision);
    }
  }
  return std::nullopt;
}

Found find_bad_log(const History& history) {
  if (history.log.empty()) return std::nullopt;
  const auto writes = writes_of(history);
  std::map<std::string, const LogEntry*> by_value;
  std::map<std::string, std::vector<const LogEntry*>> by_key;
  int64_t last = 0;
  for (const LogEntry& entry : history.log) {
    if (entry.revision <= last)
      return fmt::format("the log is out of order: revision {} after {}", entry.revision, last);
    last = entry.revision;
    const auto write = writes.find(entry.value);
    if (write == writes.end() || write->second->key != entry.key)
      return fmt::format("a value from nowhere: \"{}\" in the log at revision {}", entry.value,
                         entry.revision);
    if (write->second->outcome == Outcome::kRefused)
      return fmt::format("a refused write is in the log at revision {}: {}", entry.revision,
                         write->second->text());
    if (const auto [first, added] = by_value.emplace(entry.value, &entry); !added)
      return fmt::format("applied twice: \"{}\" is in the log at revisions {} and {}", entry.value,
                         first->second->revision, entry.revision);
    by_key[entry.key].push_back(&entry);
  }
  for (const Operation& operation : history.operations) {
    if (operation.outcome != Outcome::kOk) continue;
    if (operation.writes()) {
      const auto entry = by_value.find(operation.value);
      if (entry == by_value.end())
        return fmt::format("an acknowledged write was lost: {}", operation.text());
      if (operation.revision != 0 && entry->second->revision != operation.revision)
        return fmt::format("an acknowledged write is in the log as revision {}: {}",
                           entry->second->revision, operation.text());
      continue;
    }
    if (operation.as_of == 0) continue;
    const LogEntry* there = value_at(by_key[operation.key], operation.as_of);
    if ((there == nullptr ? std::string() : there->value) != operation.value)
      return fmt::format("a read is not as of the revision it names (the log has \"{}\"): {}",
                         there == nullptr ? "" : there->value, operation.text());
  }
  return std::nullopt;
}

Found find_bad_watch(const History& history) {
  for (const auto& [name, watch] : history.watches) {
    std::vector<LogEntry> expected;
    for (const LogEntry& entry : history.log)
      if (entry.revision > watch.from && entry.revision <= watch.to) expected.push_back(entry);
    for (size_t i = 0; i < std::max(expected.size(), watch.events.size()); ++i) {
      if (i == watch.events.size())
        return fmt::format("watcher {} was not told of revision {} (\"{}\")", name,
                           expected[i].revision, expected[i].value);
      if (i == expected.size() || watch.events[i] != expected[i])
        return fmt::format(
            "watcher {} was told of revision {} (\"{}\") where the log has {}", name,
            watch.events[i].revision, watch.events[i].value,
            i == expected.size()
                ? std::string("no more")
                : fmt::format("revision {} (\"{}\")", expected[i].revision, expected[i].value));
    }
  }
  return std::nullopt;
}

Found find_violation(const History& history) {
  for (const auto& part :
       {find_bad_value, find_bad_log, find_bad_watch, find_bad_revision, find_bad_order})
    if (auto found = part(history)) return found;
  return std::nullopt;
}

}  // namespace frameworks
