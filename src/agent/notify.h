// Tells systemd how the service is (sd_notify(3)): one datagram, no library.
#pragma once

#include <string_view>

namespace frameworks {

// Does nothing where $NOTIFY_SOCKET is not set.
void notify_systemd(std::string_view state);

}  // namespace frameworks
