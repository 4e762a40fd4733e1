#include "agent/tenancy.h"

#include <fmt/format.h>

#include <algorithm>
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
  // Seconds first: a timestamp has ten thousand years, nanoseconds in 64 bits less than three
  // hundred.
  const auto since_epoch = now.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch);
  if (time.seconds() != seconds.count()) return time.seconds() < seconds.count();
  return std::chrono::nanoseconds(time.nanos()) <= since_epoch - seconds;
}

int64_t bits_allowed(const pb::TenancySection::TenantEntry& entry) {
  return entry.limits().bandwidth_mbps() * 1'000'000;
}

// The media server's own: what others can add comes after it.
std::string first_value(std::string_view form, std::string_view key) {
  for (const std::string& field : split(form, '&'))
    if (field.size() > key.size() && field.starts_with(key) && field[key.size()] == '=')
      return field.substr(key.size() + 1);
  return {};
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

Tenancy::SectionPtr Tenancy::section() const {
  return section_.with([](const auto& present) { return present; });
}

void Tenancy::set_traffic(const std::map<std::string, TenantTraffic>& traffic) {
  std::map<std::string, Traffic> fresh;
  for (const auto& [tenant, bits] : traffic)
    fresh[tenant] = {bits,
                     {bits.in / std::max<int64_t>(1, running(streams_, tenant)),
                      bits.out / std::max<int64_t>(1, running(viewers_, tenant))},
                     {}};
  const MonoTime now = clock_.mono();
  traffic_.with([&](auto& present) {
    for (auto& [tenant, measured] : fresh) {
      const auto known = present.find(tenant);
      if (known == present.end() || known->second.settles_at <= now) continue;
      measured.now.in = std::min(measured.now.in, known->second.now.in);
      measured.now.out = std::min(measured.now.out, known->second.now.out);
      measured.settles_at = known->second.settles_at;
    }
    present = std::move(fresh);
  });
}

void Tenancy::take_share(const std::string& tenant, bool viewer) {
  traffic_.with([&](auto& all) {
    const auto found = all.find(tenant);
    if (found == all.end()) return;
    Traffic& traffic = found->second;
    (viewer ? traffic.now.out : traffic.now.in) -=
        viewer ? traffic.average.out : traffic.average.in;
    traffic.settles_at = clock_.mono() + kAveraged;
  });
}

PublishAnswer Tenancy::judge(const std::string& tenant, const SectionPtr& section,
                             std::string_view what) const {
  const auto* entry = find_entry(*section, tenant);
  if (entry == nullptr) return {false, "the tenant has no place on this node"};
  if (entry->suspended()) return {false, fmt::format("tenant {} is suspended", tenant)};
  if (is_over(*entry, clock_.wall()))
    return {false, fmt::format("tenant {}'s grant has expired", tenant)};
  return {true, fmt::format("tenant {} may {} here", tenant, what)};
}

std::optional<std::string> Tenancy::over_traffic(const std::string& tenant,
                                                 const SectionPtr& section, Asks asks) const {
  const int64_t allowed = bits_allowed(*find_entry(*section, tenant));
  if (allowed == 0) return {};
  const Traffic known = traffic_.with([&](const auto& all) {
    const auto found = all.find(tenant);
    return found == all.end() ? Traffic() : found->second;
  });
  const int64_t bits = known.now.in + (asks == Asks::kStream ? 0 : known.now.out);
  if (bits >= allowed)
    return fmt::format("tenant {} has {:.1f} Mbit/s here, its limit is {}", tenant,
                       static_cast<double>(bits) / 1e6, allowed / 1'000'000);
  if (asks == Asks::kToBegin && known.settles_at > clock_.mono())
    return fmt::format("tenant {} was above its limit of {} Mbit/s here within the last {} s",
                       tenant, allowed / 1'000'000,
                       std::chrono::duration_cast<std::chrono::seconds>(kAveraged).count());
  return {};
}

bool Tenancy::count(Runs& runs, const std::string& tenant, const std::string& name, int64_t limit) {
  return runs.with([&](auto& all) {
    const MonoTime now = clock_.mono();
    Running& running = all[tenant];
    if (const auto known = running.find(name);
        known != running.end() && known->second + kSilence >= now) {
      known->second = now;
      return true;
    }
    std::erase_if(running, [&](const auto& each) { return each.second + kSilence < now; });
    if (limit > 0 && static_cast<int64_t>(running.size()) >= limit) return false;
    running[name] = now;
    return true;
  });
}

void Tenancy::forget(Runs& runs, const std::string& tenant, const std::string& name) {
  runs.with([&](auto& all) {
    const auto found = all.find(tenant);
    if (found == all.end()) return;
    found->second.erase(name);
    if (found->second.empty()) all.erase(found);
  });
}

PublishAnswer Tenancy::may_publish(std::string_view form) {
  const auto request = parse_publish(form);
  if (!request) return {false, request.error().message()};
  const SectionPtr now = section();
  if (now == nullptr) return {false, "this node has no plan yet"};
  const std::string& tenant = request->tenant;
  if (draining_) return {false, "this node is being drained: ask for another"};
  PublishAnswer answer = judge(tenant, now, "publish");
  if (!answer.allowed) return answer;
  if (auto why = over_traffic(tenant, now, Asks::kToBegin)) return {false, *std::move(why)};
  if (!count(streams_, tenant, request->stream, find_entry(*now, tenant)->limits().streams()))
    return {false, fmt::format("tenant {} has as many streams here as its limit allows", tenant)};
  return answer;
}

PublishAnswer Tenancy::may_play(std::string_view form) {
  const auto request = parse_publish(form);
  if (!request) return {false, request.error().message()};
  const SectionPtr now = section();
  if (now == nullptr) return {false, "this node has no plan yet"};
  const std::string& tenant = request->tenant;
  PublishAnswer answer = judge(tenant, now, "be watched");
  if (!answer.allowed) return answer;
  if (auto why = over_traffic(tenant, now, Asks::kToBegin)) return {false, *std::move(why)};
  if (!count(viewers_, tenant, first_value(form, "clientid"),
             find_entry(*now, tenant)->limits().viewers()))
    return {false, fmt::format("tenant {} has as many viewers here as its limit allows", tenant)};
  return answer;
}

PublishAnswer Tenancy::may_go_on(std::string_view form) {
  const bool plays = first_value(form, "call") == "update_play";
  const auto request = parse_publish(form);
  if (!request) return {true, "not a stream of ours"};
  const SectionPtr now = section();
  if (now == nullptr) return {true, "this node has no plan yet"};
  const std::string& tenant = request->tenant;
  PublishAnswer answer = judge(tenant, now, plays ? "be watched" : "publish");
  if (!answer.allowed) return answer;
  if (auto why = over_traffic(tenant, now, plays ? Asks::kViewer : Asks::kStream)) {
    take_share(tenant, plays);
    if (plays)
      forget(viewers_, tenant, first_value(form, "clientid"));
    else
      forget(streams_, tenant, request->stream);
    return {false, *std::move(why)};
  }
  // It runs, whatever the other limits are by now.
  const auto& limits = find_entry(*now, tenant)->limits();
  if (plays)
    (void)count(viewers_, tenant, first_value(form, "clientid"), limits.viewers());
  else
    (void)count(streams_, tenant, request->stream, limits.streams());
  return answer;
}

bool Tenancy::runs_already(const Runs& runs, const std::string& tenant,
                           const std::string& name) const {
  return runs.with([&](const auto& all) {
    const auto found = all.find(tenant);
    if (found == all.end()) return false;
    const auto known = found->second.find(name);
    return known != found->second.end() && known->second + kSilence >= clock_.mono();
  });
}

PublishAnswer Tenancy::may_watch(std::string_view stream, std::string_view viewer) {
  // What could mean something in a form is in no name of ours.
  if (stream.find_first_of("&=%") != std::string_view::npos)
    return {false, "the stream's name is not TENANT+STREAM"};
  const std::string id = "file-" + sha256_hex(viewer).substr(0, 24);
  const std::string form = fmt::format("clientid={}&name={}", id, stream);
  const auto request = parse_publish(form);
  if (!request) return {false, request.error().message()};
  if (section() == nullptr || !runs_already(viewers_, request->tenant, id)) return may_play(form);
  return may_go_on("call=update_play&" + form);
}

void Tenancy::ended(std::string_view form) {
  if (const auto request = parse_publish(form)) forget(streams_, request->tenant, request->stream);
}

void Tenancy::stopped_playing(std::string_view form) {
  if (const auto request = parse_publish(form))
    forget(viewers_, request->tenant, first_value(form, "clientid"));
}

int64_t Tenancy::sessions() const { return clock_.mono() - started_ < kLearning ? -1 : running(); }

int64_t Tenancy::alive(const Running& running) const {
  const MonoTime now = clock_.mono();
  return std::count_if(running.begin(), running.end(),
                       [now](const auto& each) { return each.second + kSilence >= now; });
}

int64_t Tenancy::running() const {
  int64_t sum = 0;
  for (const Runs* runs : {&streams_, &viewers_})
    runs->with([&](const auto& all) {
      for (const auto& [tenant, running] : all) sum += alive(running);
    });
  return sum;
}

int64_t Tenancy::running(const Runs& runs, std::string_view tenant) const {
  return runs.with([&](const auto& all) -> int64_t {
    const auto found = all.find(tenant);
    return found == all.end() ? 0 : alive(found->second);
  });
}

int Tenancy::tenants() const {
  const SectionPtr now = section();
  return now == nullptr ? 0 : now->tenants_size();
}

}  // namespace frameworks
