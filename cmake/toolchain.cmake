# Compiler, linker and warning settings that hold for all of our own code.
find_program(CCACHE ccache)
if(CCACHE)
  # Without these ccache does not keep what was compiled with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CCACHE})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# The same for libraries and programs, so that they can share a precompiled header.
add_compile_options(-fPIC -pthread)

# Headers of generated code and of libraries are SYSTEM and thus exempt. GCC 12 sees overruns of
# std::string's inline buffer where there are none (GCC PR 105329) once <string> is precompiled.
option(FW_FUZZ "Build tests/fuzz with libFuzzer: needs clang" OFF)
set(FW_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Werror -Wno-array-bounds -Wno-restrict)
if(FW_FUZZ)
  # Clang 14 is here to fuzz, not to judge: the warnings that matter are g++'s.
  set(FW_WARNINGS -w)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

set(FW_SANITIZE "" CACHE STRING "Comma-separated sanitizers, e.g. address,undefined")
if(FW_SANITIZE)
  add_compile_options(-fsanitize=${FW_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FW_SANITIZE})
endif()
