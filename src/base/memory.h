// The memory of this process as the allocator holds it.
#pragma once

#include <cstddef>
#include <string>

namespace frameworks {

// Gives memory that was freed back to the system. Takes milliseconds where there is much of it.
void release_free_memory();

// Empties `text`, and gives its memory back where that is more than `keep` bytes: assigning an
// empty text keeps all of it.
void let_go(std::string& text, size_t keep);

}  // namespace frameworks
