// Whether a history could have come from one register a key that does one thing at a time, and from
// one log whose revisions tell that order.
//
// The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with
// Lowe's memoization ("Testing for linearizability", 2017): take any operation that no finished one
// has to precede, as long as the register allows it, and never look twice at the same set of
// operations done with the same value left. Keys are independent of each other and are searched one
// by one.
#pragma once

#include <optional>
#include <string>

#include "history.h"

namespace frameworks {

// The first thing wrong, in words; nothing: the history is good.
std::optional<std::string> find_violation(const History& history);

// Its parts, in the order they are looked at.

// A value comes from its one write, and has one revision wherever it was seen.
std::optional<std::string> find_bad_value(const History& history);
// The search, over writes, compare-and-sets and fresh reads. Refusals may be spurious.
std::optional<std::string> find_bad_order(const History& history);
// Revisions ascend in real time over all keys: what was asked for after another's end is newer.
std::optional<std::string> find_bad_revision(const History& history);
// The log has what was acknowledged, once, and nothing from nowhere; reads are as it says.
std::optional<std::string> find_bad_log(const History& history);
// Every watcher was told what the log says of its range, all of it, in order, once.
std::optional<std::string> find_bad_watch(const History& history);

}  // namespace frameworks
