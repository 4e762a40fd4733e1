#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "runtime/inventory/formats.h"

namespace frameworks {
namespace {

bool is_word(std::string_view text, std::string_view more) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

// A name that neither ssh nor a shell behind it reads as anything else.
bool is_user(std::string_view text) { return is_word(text, "._-") && text.front() != '-'; }

// "ssh-ed25519 AAAA…" without its comment; empty when it is no such thing.
std::string host_key(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return {};
  const std::string_view type = text.substr(0, space);
  std::string_view key = text.substr(space + 1);
  key = key.substr(0, key.find_first_of(" \r\n"));
  if (!is_word(type, "-@.") || !is_word(key, "+/=")) return {};
  return fmt::format("{} {}", type, key);
}

void append_host(const Host& host, std::string& out) {
  const auto to = std::back_inserter(out);
  const std::string& name = host.node->metadata().name();
  const pb::NodeSpec& spec = host.node->spec();
  const std::string user = spec.ssh_user().empty() ? "root" : spec.ssh_user();
  if (spec.address().empty()) {
    fmt::format_to(to, "\n# {}: left out: it has no address yet\n", name);
    return;
  }
  if (!is_user(user)) {
    fmt::format_to(to, "\n# {}: left out: its spec.sshUser is no name of a user\n", name);
    return;
  }
  fmt::format_to(to, "\nHost {}\n  HostName {}\n  Port {}\n  User {}\n  HostKeyAlias {}\n", name,
                 spec.address(), spec.ssh_port() == 0 ? 22 : spec.ssh_port(), user, name);
  const std::string key = host_key(host.node->status().machine().ssh_host_key());
  if (key.empty()) {
    out += "  # The machine's host key is not known: your own known_hosts decides.\n";
    return;
  }
  // The key stands in the file itself: echo gives it to ssh as a line of known_hosts.
  fmt::format_to(to,
                 "  KnownHostsCommand /bin/echo {} {}\n  UserKnownHostsFile none\n"
                 "  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n",
                 name, key);
}

}  // namespace

std::string ssh_config_text(const std::vector<Host>& hosts, Revision revision) {
  std::string out = fmt::format(
      "# FrameWorks fleet, revision {}. Made by: frameworks inventory "
      "--format ssh\n",
      revision);
  for (const Host& host : hosts) append_host(host, out);
  return out;
}

}  // namespace frameworks
