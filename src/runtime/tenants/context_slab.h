// Places of one size beside each other in huge pages. A look-up goes to any of very many contexts:
// to find out where its small page is would cost as much again as to read it.
//
// What is given back is used again, and returned to the system only when the slab goes. Threadsafe.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

#include "base/locked.h"

namespace frameworks {

class ContextSlab {
 public:
  explicit ContextSlab(size_t size) : size_((size + kLine - 1) / kLine * kLine) {}

  ~ContextSlab() {
    places_.with([](Places& places) {
      for (char* const page : places.pages) ::operator delete(page, std::align_val_t(kPage));
    });
  }
  ContextSlab(const ContextSlab&) = delete;
  ContextSlab& operator=(const ContextSlab&) = delete;

  // Begins a line of memory.
  void* take() {
    return places_.with([this](Places& places) -> void* {
      if (places.free != nullptr) return std::exchange(places.free, places.free->next);
      if (places.left < size_) {
        places.at = static_cast<char*>(::operator new(kPage, std::align_val_t(kPage)));
        (void)madvise(places.at, kPage, MADV_HUGEPAGE);  // small ones do as well
        places.left = kPage;
        places.pages.push_back(places.at);
      }
      places.left -= size_;
      return std::exchange(places.at, places.at + size_);
    });
  }
  void give_back(void* place) {
    places_.with([place](Places& places) { places.free = new (place) Free{places.free}; });
  }

 private:
  static constexpr size_t kLine = 64;
  static constexpr size_t kPage = 2 << 20;
  struct Free {
    Free* next;
  };
  struct Places {
    Free* free = nullptr;
    char* at = nullptr;  // what was never taken
    size_t left = 0;
    std::vector<char*> pages;
  };

  const size_t size_;
  Locked<Places> places_;
};

}  // namespace frameworks
