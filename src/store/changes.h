// What one transaction changed, shared: the writer, the watchers' window and who asked for the write
// all look at the same changes.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "store/log.h"

namespace frameworks {

class Changes {
 public:
  Changes() = default;
  Changes(std::vector<Change> all)
      : all_(std::make_shared<const std::vector<Change>>(std::move(all))), end_(all_->size()) {}
  // Those of `all` with begin <= place < end: transactions that were written together share it.
  Changes(std::shared_ptr<const std::vector<Change>> all, size_t begin, size_t end)
      : all_(std::move(all)), begin_(begin), end_(end) {}

  [[nodiscard]] const Change* begin() const { return empty() ? nullptr : all_->data() + begin_; }
  [[nodiscard]] const Change* end() const { return empty() ? nullptr : all_->data() + end_; }
  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] const Change& operator[](size_t place) const { return (*all_)[begin_ + place]; }
  [[nodiscard]] const Change& front() const { return (*this)[0]; }

 private:
  std::shared_ptr<const std::vector<Change>> all_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace frameworks
