#include "agent/media_traffic.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/drain_sessions.h"
#include "base/log.h"

namespace frameworks {
namespace {

// About 600 bytes a stream.
constexpr size_t kMaxStatistics = 4 * 1024 * 1024;
// More than any machine sends: sums of what is read stay within 64 bits.
constexpr int64_t kMostBits = 1'000'000'000'000'000;

// What is between <tag> and </tag>, the first of them; empty: nothing.
std::string_view element(std::string_view xml, std::string_view tag) {
  const std::string open = "<" + std::string(tag) + ">";
  const size_t begin = xml.find(open);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = xml.substr(begin + open.size());
  const size_t end = rest.find("</" + std::string(tag) + ">");
  return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
}

int64_t bits(std::string_view xml, std::string_view tag) {
  const std::string_view text = element(xml, tag);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::clamp<int64_t>(value, 0, kMostBits);
}

}  // namespace

std::map<std::string, TenantTraffic> parse_media_statistics(std::string_view xml) {
  constexpr std::string_view kStream = "<stream>";
  std::map<std::string, TenantTraffic> out;
  for (size_t at = xml.find(kStream); at != std::string_view::npos;) {
    const size_t next = xml.find(kStream, at + kStream.size());
    const std::string_view stream = xml.substr(at + kStream.size(), next - at - kStream.size());
    at = next;
    const std::string_view name = element(stream, "name");
    const size_t plus = name.find('+');
    if (plus == std::string_view::npos || plus == 0) continue;
    TenantTraffic& sum = out[std::string(name.substr(0, plus))];
    sum.in = std::min(kMostBits, sum.in + bits(stream, "bw_in"));
    sum.out = std::min(kMostBits, sum.out + bits(stream, "bw_out"));
  }
  return out;
}

MediaTraffic::MediaTraffic(std::string url, MediaLog* log, Tenancy& tenancy, Clock& clock)
    : url_(std::move(url)),
      log_(log),
      tenancy_(tenancy),
      clock_(clock),
      before_since_(clock.mono()),
      since_(before_since_) {
  thread_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
}

MediaTraffic::ByTenant MediaTraffic::ask() {
  if (url_.empty() || !tenancy_.has_sessions()) return {};
  const auto xml = ask_http(url_, kMaxStatistics);
  if (!xml && answered_)
    spdlog::warn("limits in Mbit/s do not count RTMP: {}", xml.error().message());
  answered_ = xml.has_value();
  return xml ? parse_media_statistics(*xml) : ByTenant();
}

void MediaTraffic::add_files(ByTenant& traffic) {
  if (log_ == nullptr) return;
  auto bytes = log_->take();
  const MonoTime now = clock_.mono();
  const double seconds = std::chrono::duration<double>(now - before_since_).count();
  for (const auto* part : {&bytes, &bytes_before_})
    for (const auto& [tenant, sent] : *part) {
      const double rate =
          std::min(static_cast<double>(kMostBits), static_cast<double>(sent) * 8 / seconds);
      int64_t& sum = traffic[tenant].out;
      sum = std::min(kMostBits, sum + static_cast<int64_t>(rate));
    }
  bytes_before_ = std::move(bytes);
  before_since_ = std::exchange(since_, now);
}

void MediaTraffic::follow(const std::stop_token& stop) {
  while (clock_.sleep_for(kInterval, stop)) {
    ByTenant traffic = ask();
    add_files(traffic);
    tenancy_.set_traffic(traffic);
  }
}

}  // namespace frameworks
