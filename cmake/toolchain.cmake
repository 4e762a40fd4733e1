# Compiler, linker and warning settings that hold for all of our own code.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Headers of generated code and of libraries are SYSTEM and thus exempt.
set(FW_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Werror)

set(FW_SANITIZE "" CACHE STRING "Comma-separated sanitizers, e.g. address,undefined")
if(FW_SANITIZE)
  add_compile_options(-fsanitize=${FW_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FW_SANITIZE})
endif()
