// The memory of this process as the allocator holds it.
#pragma once

namespace frameworks {

// Gives memory that was freed back to the system. Takes milliseconds where there is much of it.
void release_free_memory();

}  // namespace frameworks
