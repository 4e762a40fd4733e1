// How much each tenant's streams send and receive through this node's media server, for its limit
// in Mbit/s.
//
// Asked of nginx-rtmp's statistics (`rtmp_stat live`, XML) on a thread of its own, and only while
// something runs. What is fetched over HLS is not among them: its viewers are (Tenancy::may_watch).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "agent/tenancy.h"
#include "base/clock.h"

namespace frameworks {

// Bits per second, in and out, of all streams TENANT+STREAM, by tenant; other streams are left
// out. Text that is none of nginx-rtmp's has no streams.
std::map<std::string, int64_t> parse_media_statistics(std::string_view xml);

class MediaTraffic {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(5);

  // `url`: "http://address:port/path". Stops when it is destroyed.
  MediaTraffic(std::string url, Tenancy& tenancy, Clock& clock);

 private:
  void follow(const std::stop_token& stop);

  const std::string url_;
  Tenancy& tenancy_;
  Clock& clock_;
  std::jthread thread_;
};

}  // namespace frameworks
