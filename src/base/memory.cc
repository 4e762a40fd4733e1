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

}  // namespace frameworks
