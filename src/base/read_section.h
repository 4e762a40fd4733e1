// Data that is read without a lock and without counting references, and freed once nobody reads it
// any more: read-copy-update, by liburcu.
//
// Readers find things through atomic pointers while they have a section open; whoever takes a thing
// out hands it to Retired, which keeps it until every section that was open then has ended. To open
// a section is a few plain instructions: the kernel brings the processors in step when something is
// freed (membarrier(2)); where it may not, each section costs a fence.
//
// Sections are short: no waiting, no I/O in them. They may be nested.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/locked.h"

namespace frameworks {

// What is found while one is open, by its thread, stays until it ends.
class ReadSection {
 public:
  ReadSection();
  ~ReadSection();
  ReadSection(const ReadSection&) = delete;
  ReadSection& operator=(const ReadSection&) = delete;
};

// What was taken out and may still be read. Threadsafe; no reader may be left when it goes.
class Retired {
 public:
  // At most so many things wait: whoever adds the last of them waits for the readers, and frees
  // all.
  static constexpr size_t kMost = 256;

  // Never while this thread has a section open. Null is nothing.
  void add(std::shared_ptr<const void> thing);

 private:
  Locked<std::vector<std::shared_ptr<const void>>> things_;
};

}  // namespace frameworks
