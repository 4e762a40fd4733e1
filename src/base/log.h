// Logging: one line an event on standard error, "time level component: message key=value".
// Secrets never go into a log line.
#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace frameworks {

// Sets up the default logger; `component` is the program's name. Levels: debug, info, warn, error.
// The environment variable FRAMEWORKS_LOG overrides `level`.
void init_logging(const std::string& component, const std::string& level = "info");

}  // namespace frameworks
