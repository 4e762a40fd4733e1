#include "base/read_section.h"

#include <urcu/urcu-bp.h>

#include <utility>

#include "base/error.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define FW_TSAN
#endif
#endif

namespace frameworks {
namespace {

// TSan does not see what orders the end of a section before what was waited for.
#ifdef FW_TSAN
char ended_sections;
void section_ends() { __tsan_release(&ended_sections); }
void sections_ended() { __tsan_acquire(&ended_sections); }
#else
void section_ends() {}
void sections_ended() {}
#endif

}  // namespace

ReadSection::ReadSection() { urcu_bp_read_lock(); }
ReadSection::~ReadSection() {
  section_ends();
  urcu_bp_read_unlock();
}

void Retired::add(std::shared_ptr<const void> thing) {
  if (thing == nullptr) return;
  CHECK(!urcu_bp_read_ongoing());  // it would wait for itself
  std::vector<std::shared_ptr<const void>> freed;
  things_.with([&](auto& things) {
    things.push_back(std::move(thing));
    if (things.size() >= kMost) freed.swap(things);
  });
  if (freed.empty()) return;
  urcu_bp_synchronize_rcu();
  sections_ended();
}

}  // namespace frameworks
