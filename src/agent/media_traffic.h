// How much each tenant's streams send and receive through this node's media server, for its limit
// in Mbit/s.
//
// Asked of nginx-rtmp's statistics (`rtmp_stat live`, XML) on a thread of its own, and only while
// something runs; to that comes what was fetched as files (media_log.h). Both are averages of about
// Tenancy::kAveraged.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "agent/media_log.h"
#include "agent/tenancy.h"
#include "base/clock.h"

namespace frameworks {

// Of all streams TENANT+STREAM, by tenant; other streams are left out. Text that is none of
// nginx-rtmp's has no streams.
std::map<std::string, TenantTraffic> parse_media_statistics(std::string_view xml);

class MediaTraffic {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(5);

  // `url`: "http://address:port/path"; empty: nobody is asked. `log`: null: what is fetched as
  // files is not known. Stops when it is destroyed.
  MediaTraffic(std::string url, MediaLog* log, Tenancy& tenancy, Clock& clock);

 private:
  using ByTenant = std::map<std::string, TenantTraffic>;

  void follow(const std::stop_token& stop);
  // What is published and watched over RTMP.
  ByTenant ask();
  // Adds what was fetched in this interval and the one before.
  void add_files(ByTenant& traffic);

  const std::string url_;
  MediaLog* const log_;
  Tenancy& tenancy_;
  Clock& clock_;
  // The thread's own.
  bool answered_ = true;
  std::map<std::string, int64_t> bytes_before_;  // of files, in the interval before
  MonoTime before_since_;
  MonoTime since_;
  std::jthread thread_;
};

}  // namespace frameworks
