// libFuzzer's way in. FW_FUZZ_TARGET names the target; `--list` prints all.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "target.h"

namespace {

const frameworks::FuzzTarget* target = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc > 1 && std::strcmp((*argv)[1], "--list") == 0) {
    for (const auto& each : frameworks::fuzz_targets()) std::puts(each.name.c_str());
    std::exit(0);
  }
  const char* wanted = std::getenv("FW_FUZZ_TARGET");
  for (const auto& each : frameworks::fuzz_targets())
    if (wanted != nullptr && each.name == wanted) target = &each;
  if (target == nullptr) {
    std::fputs("FW_FUZZ_TARGET: names no target: see --list\n", stderr);
    std::exit(2);
  }
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  target->run({reinterpret_cast<const char*>(data), size});
  return 0;
}
