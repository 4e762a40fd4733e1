#include "model/rules.h"

#include <fmt/format.h>

#include <cctype>
#include <map>
#include <set>

#include "base/ip.h"
#include "base/text.h"
#include "model/words.h"

namespace frameworks {
namespace {

std::optional<std::string> label_problem(std::string_view value) {
  if (value.empty() || value.size() > 63)
    return fmt::format("\"{}\" has {} characters: a DNS label has 1 to 63", value, value.size());
  for (const char c : value) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!ok)
      return fmt::format("\"{}\": character '{}' is not allowed: use a-z, 0-9 and -", value, c);
  }
  if (value.front() == '-' || value.back() == '-')
    return fmt::format("\"{}\" must begin and end with a letter or a digit", value);
  return std::nullopt;
}

std::optional<std::string> name_problem(std::string_view value) {
  if (value.size() > 253)
    return fmt::format("\"{}\" has {} characters: a DNS name has at most 253", value, value.size());
  for (const std::string& label : split(value, '.'))
    if (auto problem = label_problem(label))
      return label == value ? *problem : fmt::format("\"{}\": label {}", value, *problem);
  return std::nullopt;
}

std::optional<std::string> cidr_problem(std::string_view value, bool v4, bool v6) {
  const Result<Cidr> cidr = Cidr::parse(value);
  if (!cidr)
    return fmt::format("\"{}\" is not an address range: write e.g. {}", value,
                       v4 ? "10.64.1.0/24" : "fd66:7261:6d65:1::/64");
  if (cidr->address().is_v4() ? !v4 : !v6)
    return fmt::format("\"{}\" is IPv{}: an IPv{} range is wanted", value,
                       cidr->address().is_v4() ? 4 : 6, v4 ? 4 : 6);
  if (cidr->has_host_bits())
    return fmt::format("\"{}\" has host bits set: write {}", value, cidr->network().text());
  return std::nullopt;
}

}  // namespace

std::optional<std::string> format_problem(pb::Format format, std::string_view value) {
  switch (format) {
    case pb::FORMAT_DNS_LABEL:
      return label_problem(value);
    case pb::FORMAT_DNS_NAME:
      return name_problem(value);
    case pb::FORMAT_IP:
      if (!IpAddress::parse(value))
        return fmt::format("\"{}\" is not an IP address: write e.g. 192.0.2.1", value);
      return std::nullopt;
    case pb::FORMAT_CIDR:
      return cidr_problem(value, true, true);
    case pb::FORMAT_CIDR4:
      return cidr_problem(value, true, false);
    case pb::FORMAT_CIDR6:
      return cidr_problem(value, false, true);
    case pb::FORMAT_PATH:
      for (const char c : value)
        if (std::isgraph(static_cast<unsigned char>(c)) == 0)
          return fmt::format("\"{}\" has blanks or control characters: percent-encode them", value);
      if (!value.starts_with('/')) return fmt::format("\"{}\" must begin with \"/\"", value);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

void require_label_name(const pb::Metadata& metadata, Validation& out) {
  if (metadata.name().find('.') != std::string::npos)
    out.fail("metadata.name",
             fmt::format("\"{}\" has a dot: it becomes part of longer names, use - instead",
                         metadata.name()));
}

void check_placement(const pb::Placement& placement, const std::string& field, Validation& out) {
  const auto unique = [&](const auto& list, std::string_view name, auto text) {
    std::set<std::string> seen;
    for (int i = 0; i < list.size(); ++i)
      if (!seen.insert(text(list[i])).second)
        out.fail(fmt::format("{}.{}[{}]", field, name, i),
                 fmt::format("\"{}\" is named twice: remove one", text(list[i])));
  };
  const auto same = [](const std::string& text) { return text; };
  unique(placement.regions(), "regions", same);
  unique(placement.clusters(), "clusters", same);
  unique(placement.tiers(), "tiers", [](int tier) { return word(static_cast<pb::Tier>(tier)); });
  unique(placement.apart_from(), "apartFrom", same);
  if (placement.count() > 0 && placement.count_per_cluster() > 0)
    out.fail(field + ".countPerCluster",
             fmt::format("{} stands beside a count of {}: give one of the two",
                         placement.count_per_cluster(), placement.count()));
  const bool counted = placement.count() > 0 || placement.count_per_cluster() > 0;
  if (!counted && placement.spread() != pb::SPREAD_UNSPECIFIED)
    out.fail(field + ".spread",
             fmt::format("{} spreads nothing where every node has an instance: give a count too, "
                         "or remove it",
                         word(placement.spread())));
}

std::string limits_text(const pb::Limits& limits) {
  std::string out;
  const auto add = [&](std::string_view name, int64_t value) {
    if (value != 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, value);
  };
  add("clusters", limits.clusters());
  add("nodes", limits.nodes());
  add("streams", limits.streams());
  add("viewers", limits.viewers());
  add("Mbit/s", limits.bandwidth_mbps());
  add("requests/s", limits.api_rate());
  return out.empty() ? "-" : out;
}

std::string placement_text(const pb::Placement& placement) {
  std::vector<std::string> tiers;
  for (const int tier : placement.tiers()) tiers.push_back(word(static_cast<pb::Tier>(tier)));
  std::string out = tiers.empty() ? "everywhere" : list_text(tiers);
  if (!placement.regions().empty()) out += " in " + list_text(placement.regions());
  if (!placement.clusters().empty()) out += " of " + list_text(placement.clusters());
  const std::map<std::string, std::string> labels(placement.labels().begin(),
                                                  placement.labels().end());
  for (const auto& [name, value] : labels) out += fmt::format(", {}={}", name, value);
  if (placement.count() > 0) return fmt::format("{} of {}", placement.count(), out);
  if (placement.count_per_cluster() > 0)
    return fmt::format("{} a cluster of {}", placement.count_per_cluster(), out);
  return out;
}

}  // namespace frameworks
