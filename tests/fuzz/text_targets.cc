// Small things as text, and what the programs print that we read.
#include "base/error.h"
#include "base/ip.h"
#include "base/text.h"
#include "config/mesh/wireguard_dump.h"
#include "config/system/playbook_output.h"
#include "model/rules.h"
#include "model/validate.h"
#include "server/acceptor.h"
#include "server/rest_request.h"
#include "target.h"

namespace frameworks {
namespace {

void encodings(std::string_view bytes) {
  if (const auto decoded = base64_decode(bytes)) {
    const auto again = base64_decode(base64_encode(*decoded));
    CHECK(again && *again == *decoded);
  }
  if (const auto decoded = hex_decode(bytes)) {
    const auto again = hex_decode(hex_encode(*decoded));
    CHECK(again && *again == *decoded);
  }
  (void)percent_decode(bytes, Plus::kSpace);
  (void)percent_decode(bytes, Plus::kLiteral);
  (void)trim(bytes);
}

void addresses(std::string_view bytes) {
  if (const auto at = parse_host_port(bytes)) CHECK(!at->host.empty());
  if (const auto address = IpAddress::parse(bytes)) {
    const auto again = IpAddress::parse(address->text());
    CHECK(again && *again == *address);
    (void)address->plus(UINT64_MAX);
  }
  if (const auto cidr = Cidr::parse(bytes)) {
    const auto again = Cidr::parse(cidr->text());
    CHECK(again && *again == *cidr);
    CHECK(!cidr->network().has_host_bits());
    CHECK(cidr->contains(cidr->address()));
    CHECK(cidr->size() > 0 && cidr->overlaps(*cidr));
  }
  for (int format = 0; format < pb::Format_ARRAYSIZE; ++format)
    (void)format_problem(static_cast<pb::Format>(format), bytes);
}

void durations(std::string_view bytes) {
  const auto duration = parse_duration(bytes);
  if (!duration) return;
  const auto again = parse_duration(format_duration(*duration));
  CHECK(again.has_value());
  (void)human_duration(*duration);
}

void playbook_output(std::string_view bytes) {
  size_t told = 0;
  PlaybookOutput output([&](const ConfigureEvent& event) { told += event.host.size(); });
  for (const std::string& line : split(bytes, '\n')) output.line(line);
  (void)output.hosts();
}

void wireguard_dump(std::string_view bytes) {
  const WireguardConfig config = normalized(parse_wireguard_dump(bytes));
  (void)routed_prefixes(config);
}

}  // namespace

void add_text_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"encodings", encodings},
                         {"addresses", addresses},
                         {"durations", durations},
                         {"playbook_output", playbook_output},
                         {"wireguard_dump", wireguard_dump}});
}

}  // namespace frameworks
