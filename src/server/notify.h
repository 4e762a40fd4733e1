// Tells the service manager how the server is, as sd_notify(3) does; silent where there is none.
#pragma once

#include <string_view>

namespace frameworks {

// E.g. "READY=1".
void notify_service_manager(std::string_view state);

}  // namespace frameworks
