#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>

namespace frameworks {

void init_logging(const std::string& component, const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>(
      component, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %n: %v");
  const char* wanted = std::getenv("FRAMEWORKS_LOG");
  logger->set_level(spdlog::level::from_str(wanted != nullptr ? wanted : level));
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace frameworks
