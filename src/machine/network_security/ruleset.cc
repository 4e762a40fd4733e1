#include "machine/network_security/ruleset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace frameworks {
namespace {

// nft's identifiers have no hyphen; our names have no underscore, so nothing collides.
std::string identifier(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string conditions(const Match& match) {
  std::string out;
  if (match.ports.empty()) {
    if (!match.protocol.empty()) out += fmt::format("meta l4proto {} ", match.protocol);
  } else if (match.ports.size() == 1) {
    out += fmt::format("{} dport {} ", match.protocol, match.ports[0]);
  } else {
    auto ports = match.ports;
    std::sort(ports.begin(), ports.end());
    ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
    out += fmt::format("{} dport {{ {} }} ", match.protocol, fmt::join(ports, ", "));
  }
  return out;
}

std::string interface_condition(const Match& match) {
  return match.interface.empty() ? "" : fmt::format("iifname \"{}\" ", match.interface);
}

std::string ending(Verdict verdict, const std::string& comment) {
  return fmt::format("counter {} comment \"{}\"", verdict == Verdict::kDrop ? "drop" : "accept",
                     comment);
}

// Neighbour discovery and path MTU discovery break without these (RFC 4890).
constexpr std::string_view kAlways = R"(		ct state established,related counter accept
		ct state invalid counter drop
		iifname "lo" counter accept
		icmp type { destination-unreachable, echo-request, time-exceeded, parameter-problem } counter accept
		icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, mld-listener-query, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } counter accept
)";

}  // namespace

std::vector<std::string> AddressList::texts(bool v4) const {
  std::vector<Cidr> sorted;
  for (const Cidr& cidr : cidrs_)
    if (cidr.address().is_v4() == v4) sorted.push_back(cidr.network());
  // Wider prefixes come first, so what a prefix covers follows it.
  std::sort(sorted.begin(), sorted.end(), [](const Cidr& a, const Cidr& b) {
    return std::pair(a.address(), a.prefix()) < std::pair(b.address(), b.prefix());
  });
  std::vector<std::string> out;
  const Cidr* last = nullptr;
  for (const Cidr& cidr : sorted) {
    if (last != nullptr && last->contains(cidr.address())) continue;
    last = &cidr;
    out.push_back(cidr.prefix() == cidr.address().bits() ? cidr.address().text() : cidr.text());
  }
  return out;
}

void Ruleset::input(const Match& match, Verdict verdict, const std::string& comment) {
  rules_.push_back(interface_condition(match) + conditions(match) + ending(verdict, comment));
}

void Ruleset::input_from(std::string set, const AddressList& sources, const Match& match,
                         Verdict verdict, const std::string& comment) {
  set = identifier(std::move(set));
  for (const bool v4 : {true, false}) {
    auto texts = sources.texts(v4);
    if (texts.empty()) continue;
    const std::string name = set + (v4 ? "_4" : "_6");
    rules_.push_back(fmt::format("{}{} saddr @{} {}{}", interface_condition(match),
                                 v4 ? "ip" : "ip6", name, conditions(match),
                                 ending(verdict, comment)));
    sets_[name] = std::move(texts);
  }
}

std::string Ruleset::text() const {
  // "table" before "delete" makes sure that there is one to delete; all of it is one transaction.
  std::string out =
      "table inet frameworks\ndelete table inet frameworks\ntable inet frameworks {\n";
  for (const auto& [name, elements] : sets_)
    out += fmt::format(
        "\tset {} {{\n\t\ttype {}\n\t\tflags interval\n\t\telements = {{ {} }}\n\t}}\n", name,
        name.ends_with("_4") ? "ipv4_addr" : "ipv6_addr", fmt::join(elements, ", "));
  out += "\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n";
  out += kAlways;
  for (const std::string& rule : rules_) out += "\t\t" + rule + "\n";
  out += "\t\tcounter comment \"dropped\"\n\t}\n";
  out += "\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n";
  if (forwards_)
    out += fmt::format("\t\tiifname \"{0}\" oifname \"{0}\" counter accept\n", kMeshInterface);
  out += "\t\tcounter comment \"dropped\"\n\t}\n}\n";
  return out;
}

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\t' ? ' ' : c;
  }
  return out;
}

}  // namespace frameworks
