#include "agent/tenancy.h"

#include <fmt/format.h>

#include <optional>

#include "base/text.h"

namespace frameworks {
namespace {

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return {};
}

// "%2B" → "+"; a bare "+" stays: some media servers do not escape it, and no name of ours has a
// blank.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return {};
    const auto high = hex_digit(text[i + 1]);
    const auto low = hex_digit(text[i + 2]);
    if (!high || !low) return {};
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

Error refused(std::string why) { return {Code::kInvalidArgument, std::move(why)}; }

const pb::TenancySection::TenantEntry* find_entry(const pb::TenancySection& section,
                                                  const std::string& tenant) {
  for (const auto& entry : section.tenants())
    if (entry.tenant() == tenant) return &entry;
  return nullptr;
}

bool is_over(const pb::TenancySection::TenantEntry& entry, WallTime now) {
  if (!entry.has_expire_time()) return false;
  const auto& time = entry.expire_time();
  // Seconds first: a timestamp has ten thousand years, nanoseconds in 64 bits less than three hundred.
  const auto since_epoch = now.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch);
  if (time.seconds() != seconds.count()) return time.seconds() < seconds.count();
  return std::chrono::nanoseconds(time.nanos()) <= since_epoch - seconds;
}

}  // namespace

Result<PublishRequest> parse_publish(std::string_view form) {
  std::optional<std::string> name, tenant;
  for (const std::string& field : split(form, '&')) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) continue;
    const std::string_view key = std::string_view(field).substr(0, equals);
    if (key != "name" && key != "tenant") continue;
    auto& slot = key == "name" ? name : tenant;
    if (slot) return refused(fmt::format("the form has \"{}\" twice", key));
    slot = decoded(std::string_view(field).substr(equals + 1));
    if (!slot) return refused(fmt::format("\"{}\" is not url-encoded", key));
  }
  if (!name || name->empty()) return refused("the form has no \"name\"");
  const size_t plus = name->find('+');
  if (plus == std::string::npos || plus == 0 || plus + 1 == name->size())
    return refused("the stream's name is not TENANT+STREAM");
  PublishRequest request{name->substr(0, plus), name->substr(plus + 1)};
  if (tenant && *tenant != request.tenant) return refused("\"tenant\" and \"name\" disagree");
  return request;
}

void Tenancy::set(const pb::TenancySection& section) {
  auto fresh = std::make_shared<const pb::TenancySection>(section);
  section_.with([&](auto& present) { present = std::move(fresh); });
}

PublishAnswer Tenancy::judge(const PublishRequest& request, const SectionPtr& section) const {
  const auto* entry = find_entry(*section, request.tenant);
  if (entry == nullptr) return {false, "the tenant has no place on this node"};
  if (entry->suspended()) return {false, fmt::format("tenant {} is suspended", entry->tenant())};
  if (is_over(*entry, clock_.wall()))
    return {false, fmt::format("tenant {}'s grant has expired", entry->tenant())};
  return {true, fmt::format("tenant {} may publish here", entry->tenant())};
}

bool Tenancy::count(const PublishRequest& request, const SectionPtr& section) {
  const auto* entry = find_entry(*section, request.tenant);
  const int64_t limit = entry == nullptr ? 0 : entry->limits().streams();
  return streams_.with([&](auto& all) {
    if (limit == 0) {
      all.erase(request.tenant);
      return true;
    }
    const MonoTime now = clock_.mono();
    Streams& streams = all[request.tenant];
    std::erase_if(streams, [&](const auto& each) { return each.second + kSilence < now; });
    if (!streams.contains(request.stream) && static_cast<int64_t>(streams.size()) >= limit)
      return false;
    streams[request.stream] = now;
    return true;
  });
}

PublishAnswer Tenancy::may_publish(std::string_view form) {
  const auto request = parse_publish(form);
  if (!request) return {false, request.error().message()};
  const SectionPtr section = section_.with([](const auto& present) { return present; });
  if (section == nullptr) return {false, "this node has no plan yet"};
  PublishAnswer answer = judge(*request, section);
  if (answer.allowed && !count(*request, section))
    return {false,
            fmt::format("tenant {} has as many streams here as its limit allows", request->tenant)};
  return answer;
}

PublishAnswer Tenancy::may_go_on(std::string_view form) {
  // Updates of players come the same way; what a player asks for need not be a stream that runs.
  // The first "call" is the media server's; publishers can only append.
  for (const std::string& field : split(form, '&'))
    if (field.starts_with("call=")) {
      if (field != "call=update_publish") return {true, "only publishers are looked at"};
      break;
    }
  const auto request = parse_publish(form);
  if (!request) return {true, "not a stream of ours"};
  const SectionPtr section = section_.with([](const auto& present) { return present; });
  if (section == nullptr) return {true, "this node has no plan yet"};
  PublishAnswer answer = judge(*request, section);
  // It runs, whatever the limit is by now.
  if (answer.allowed) (void)count(*request, section);
  return answer;
}

void Tenancy::ended(std::string_view form) {
  const auto request = parse_publish(form);
  if (!request) return;
  streams_.with([&](auto& all) {
    const auto found = all.find(request->tenant);
    if (found == all.end()) return;
    found->second.erase(request->stream);
    if (found->second.empty()) all.erase(found);
  });
}

int Tenancy::tenants() const {
  const auto section = section_.with([](const auto& present) { return present; });
  return section == nullptr ? 0 : section->tenants_size();
}

}  // namespace frameworks
