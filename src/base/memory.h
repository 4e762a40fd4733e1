// The memory of this process: as the allocator holds it, and as the processor waits for it.
#pragma once

#include <cstddef>
#include <string>

namespace frameworks {

// Asks for all of it at once, so that who reads it next waits for memory once.
inline void fetch_ahead(const void* from, size_t size) {
  constexpr size_t kLine = 64;
  for (size_t at = 0; at < size; at += kLine)
    __builtin_prefetch(static_cast<const char*>(from) + at);
}

// Gives memory that was freed back to the system. Takes milliseconds where there is much of it.
void release_free_memory();

// Empties `text`, and gives its memory back where that is more than `keep` bytes: assigning an
// empty text keeps all of it.
void let_go(std::string& text, size_t keep);

}  // namespace frameworks
