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

PublishAnswer Tenancy::may_publish(std::string_view form) const {
  const auto request = parse_publish(form);
  if (!request) return {false, request.error().message()};
  const auto section = section_.with([](const auto& present) { return present; });
  if (section == nullptr) return {false, "this node has no plan yet"};
  for (const auto& entry : section->tenants()) {
    if (entry.tenant() != request->tenant) continue;
    if (entry.suspended()) return {false, fmt::format("tenant {} is suspended", entry.tenant())};
    return {true, fmt::format("tenant {} may publish here", entry.tenant())};
  }
  return {false, "the tenant has no place on this node"};
}

int Tenancy::tenants() const {
  const auto section = section_.with([](const auto& present) { return present; });
  return section == nullptr ? 0 : section->tenants_size();
}

}  // namespace frameworks
