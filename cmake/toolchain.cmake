# Compiler, linker and warning settings that hold for all of our own code.
find_program(CCACHE ccache)
if(CCACHE)
  # Without the first ones ccache does not keep what was compiled with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_DEPEND=1 ${CCACHE})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# A precompiled header made again from the same text is the same to ccache.
add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>")

# The same for libraries and programs, so that they can share a precompiled header.
add_compile_options(-fPIC -pthread)

# Headers of generated code and of libraries are SYSTEM and thus exempt. Clang counts changes of sign
# to -Wconversion in C++, g++ does not.
option(FW_FUZZ "Build tests/fuzz with libFuzzer: needs clang" OFF)
set(FW_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Werror)
if(FW_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

set(FW_SANITIZE "" CACHE STRING "Comma-separated sanitizers, e.g. address,undefined")
if(FW_SANITIZE)
  add_compile_options(-fsanitize=${FW_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FW_SANITIZE})
endif()
