#include "base/memory.h"

#include <malloc.h>

// Of tcmalloc, in programs that are linked with it.
extern "C" void MallocExtension_ReleaseFreeMemory() __attribute__((weak));

namespace frameworks {

void release_free_memory() {
  if (MallocExtension_ReleaseFreeMemory != nullptr) {
    MallocExtension_ReleaseFreeMemory();
  } else {
    malloc_trim(0);
  }
}

void let_go(std::string& text, size_t keep) {
  text.clear();
  if (text.capacity() > keep) text.shrink_to_fit();
}

}  // namespace frameworks
