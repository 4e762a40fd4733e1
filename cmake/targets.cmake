# fw_library(NAME SOURCES... DEPS ...)   a library of the folder's own code
# fw_binary(NAME SOURCES... DEPS ...)    a program, in build/<preset>/bin
# fw_test(NAME SOURCES... DEPS ...)      a GoogleTest program, registered with ctest
# Sources default to the folder's *.cc without *_test.cc (library) or its *_test.cc (test).
#
# Most of a file's compile time is reading headers: what most files read is precompiled once, for
# everything that knows the protos. All such targets therefore share one set of definitions. A file
# still includes what it uses: tools/check-includes builds without the precompiled header.
option(FW_PRECOMPILE "Precompile common headers" ON)
set(FW_COLD "^(fw_cli|frameworks|frameworks-agent|quartermaster|fw_hostd|frameworks-hostd|fw_precompiled_cold)$")
add_library(fw_definitions INTERFACE)
foreach(library fmt::fmt spdlog::spdlog Boost::json Boost::url GTest::gtest)
  target_compile_definitions(fw_definitions INTERFACE
    $<TARGET_PROPERTY:${library},INTERFACE_COMPILE_DEFINITIONS>)
endforeach()

function(_fw_common target)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE ${FW_WARNINGS})
  # Tests are compiled more often than they are waited for: without optimization; and what waits for
  # people, networks or Ansible with little.
  if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    if(target MATCHES "_test$")
      target_compile_options(${target} PRIVATE -O0)
    elseif(target MATCHES "${FW_COLD}")
      target_compile_options(${target} PRIVATE -O1)
    endif()
  endif()
  target_link_libraries(${target} PRIVATE fw_definitions)
  if(NOT FW_PRECOMPILE OR target MATCHES "^(fw_base|fw_web|fw_read_section|base_test|fw_precompiled.*)$")
  elseif(target MATCHES "_test$")
    target_precompile_headers(${target} REUSE_FROM fw_precompiled_test)
  elseif(target MATCHES "${FW_COLD}")
    target_precompile_headers(${target} REUSE_FROM fw_precompiled_cold)
  else()
    target_precompile_headers(${target} REUSE_FROM fw_precompiled)
  endif()
endfunction()

function(fw_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS *.cc)
    list(FILTER ARG_SOURCES EXCLUDE REGEX "(_test|/main)\\.cc$")
  endif()
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC ${ARG_DEPS})
    _fw_common(${name})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARG_DEPS})
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
  endif()
endfunction()

function(fw_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  _fw_common(${name})
endfunction()

function(fw_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS *_test.cc)
  endif()
  if(NOT ARG_SOURCES)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} ${RAPIDCHECK} GTest::gtest_main)
  _fw_common(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# The targets that own the precompiled headers: what is optimized, what is not, tests.
function(fw_precompiled)
  set(common
    <algorithm> <atomic> <chrono> <filesystem> <functional> <map> <memory> <mutex> <optional> <set>
    <span> <string> <string_view> <thread> <unordered_map> <variant> <vector> <fmt/format.h> <fmt/ranges.h>
    <boost/json.hpp>
    <spdlog/spdlog.h> <tl/expected.hpp> <grpcpp/grpcpp.h> <google/protobuf/util/time_util.h>
    <frameworks/v1/agent.grpc.pb.h> <frameworks/v1/cluster.pb.h> <frameworks/v1/fleet_api.grpc.pb.h>
    <frameworks/v1/hostd.grpc.pb.h> <frameworks/v1/network.pb.h> <frameworks/v1/node.pb.h>
    <frameworks/v1/operation.pb.h> <frameworks/v1/options.pb.h> <frameworks/v1/service.pb.h>
    <frameworks/v1/tenant.pb.h> <frameworks/v1/tenants_api.grpc.pb.h>)
  if(NOT EXISTS ${CMAKE_BINARY_DIR}/precompiled.cc)  # written again, it would be compiled again
    file(WRITE ${CMAKE_BINARY_DIR}/precompiled.cc "")
  endif()
  foreach(target fw_precompiled fw_precompiled_cold fw_precompiled_test)
    add_library(${target} OBJECT ${CMAKE_BINARY_DIR}/precompiled.cc)
    target_link_libraries(${target} PRIVATE fw_grpc tl::expected)
    _fw_common(${target})
  endforeach()
  target_link_libraries(fw_precompiled_test PRIVATE GTest::gtest)
  target_precompile_headers(fw_precompiled PRIVATE ${common})
  target_precompile_headers(fw_precompiled_cold PRIVATE ${common} <CLI/CLI.hpp>)
  target_precompile_headers(fw_precompiled_test PRIVATE ${common} <gtest/gtest.h>
                             <rapidcheck.h>)
endfunction()
