// What transactions changed, shared: the writer, the watchers' window and who asked for the write all
// look at the same changes.
//
// Most changes of resources that nobody has looked at are not looked at either: their messages are
// made when somebody does, once for all.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "store/log.h"

namespace frameworks {

// Of transactions that were written together. Threadsafe.
class ChangeList {
 public:
  explicit ChangeList(std::vector<Change> changes) : changes_(std::move(changes)) {}
  ChangeList(const ChangeList&) = delete;
  ChangeList& operator=(const ChangeList&) = delete;
  // At its rows nobody has looked for long.
  ~ChangeList() {
    for (const Change& change : changes_)
      for (const RowRef* row : {&change.before_row, &change.after_row})
        fetch_ahead(row->get(), sizeof(Row));
  }
  [[nodiscard]] size_t size() const { return changes_.size(); }
  [[nodiscard]] Revision revision(size_t place) const { return changes_[place].revision; }
  // With their messages.
  [[nodiscard]] const std::vector<Change>& all() const {
    std::call_once(unpacked_, [this] {
      for (Change& change : changes_) change.unpack();
    });
    return changes_;
  }

 private:
  mutable std::once_flag unpacked_;
  mutable std::vector<Change> changes_;
};

// One transaction's.
class Changes {
 public:
  Changes() = default;
  Changes(std::vector<Change> all)
      : list_(std::make_shared<const ChangeList>(std::move(all))), end_(list_->size()) {}
  // Those of `list` with begin <= place < end.
  Changes(std::shared_ptr<const ChangeList> list, size_t begin, size_t end)
      : list_(std::move(list)), begin_(begin), end_(end) {}

  [[nodiscard]] const Change* begin() const {
    return empty() ? nullptr : list_->all().data() + begin_;
  }
  [[nodiscard]] const Change* end() const { return empty() ? nullptr : list_->all().data() + end_; }
  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] const Change& operator[](size_t place) const {
    return list_->all()[begin_ + place];
  }
  // Not of none.
  [[nodiscard]] Revision revision() const { return list_->revision(begin_); }

 private:
  std::shared_ptr<const ChangeList> list_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace frameworks
