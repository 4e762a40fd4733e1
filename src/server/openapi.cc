#include "server/openapi.h"

// The file's bytes, between two labels.
asm(".pushsection .rodata\n"
    "fw_openapi_begin:\n"
    ".incbin \"" FW_OPENAPI
    "\"\n"
    "fw_openapi_end:\n"
    ".byte 0\n"
    ".popsection\n");
extern "C" {
extern const char fw_openapi_begin[];
extern const char fw_openapi_end[];
}

namespace frameworks {

std::string_view openapi_document() {
  return {fw_openapi_begin, static_cast<size_t>(fw_openapi_end - fw_openapi_begin)};
}

}  // namespace frameworks
