// What is answered to an agent's checks, and what is sent to its endpoint.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>

#include "agent/drain_sessions.h"
#include "agent/grpc_probe.h"
#include "agent/media_authority.h"
#include "agent/probe.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "target.h"

namespace frameworks {
namespace {

constexpr std::chrono::seconds kPatience{10};

// A socket on loopback; `port` 0: any, and it listens.
Fd loopback(uint16_t& port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{kPatience.count(), 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  socklen_t size = sizeof at;
  if (port != 0) {
    CHECK(connect(fd.get(), reinterpret_cast<sockaddr*>(&at), size) == 0);
    return fd;
  }
  CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(fd.get(), 16) == 0);
  CHECK(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
  port = ntohs(at.sin_port);
  return fd;
}

void send_all(const Fd& fd, std::string_view bytes) {
  // Whoever has heard enough may have closed already.
  while (!bytes.empty()) {
    const ssize_t n = send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

ProbeOutcome outcome_of(ProbeAttempt& attempt) {
  while (true) {
    if (auto outcome = attempt.step(system_clock().mono())) return *outcome;
    pollfd wanted = attempt.wants();
    if (wanted.fd >= 0) (void)poll(&wanted, 1, 100);
  }
}

// A reason goes into messages: one line, bounded, and text.
void check_outcome(const ProbeOutcome& outcome) {
  CHECK(!outcome.reason.empty() && outcome.reason.size() < 1000);
  CHECK(std::all_of(outcome.reason.begin(), outcome.reason.end(),
                    [](char c) { return c >= ' ' && c <= '~'; }));
  CHECK(!(outcome.healthy && outcome.degraded));
}

void http_answer(std::string_view bytes) {
  uint16_t port = 0;
  const Fd listening = loopback(port);
  pb::InstanceChecks::Probe probe;
  probe.set_type(pb::CHECK_TYPE_HTTP);
  probe.set_target("127.0.0.1:" + std::to_string(port));
  probe.mutable_timeout()->set_seconds(kPatience.count());
  const auto attempt = make_network_prober()->start(probe, system_clock().mono());
  Fd service(accept(listening.get(), nullptr, nullptr));
  CHECK(service.valid());
  (void)attempt->step(system_clock().mono());  // its request is on its way
  send_all(service, bytes);
  shutdown(service.get(), SHUT_WR);
  const ProbeOutcome outcome = outcome_of(*attempt);
  check_outcome(outcome);
  CHECK(!outcome.healthy || bytes.starts_with("HTTP/1."));
}

void grpc_health_answer(std::string_view bytes) {
  CHECK(health_status(std::string(bytes)) >= -1);
  CHECK(health_status(health_request(bytes)) >= -1);
}

void command_output(std::string_view bytes) {
  static const auto& directory = *new TemporaryDirectory(std::move(*TemporaryDirectory::make()));
  const auto file = directory.path() / "output";
  CHECK(write_file(file, bytes).has_value());
  pb::InstanceChecks::Probe probe;
  probe.set_type(pb::CHECK_TYPE_COMMAND);
  probe.add_command("/bin/cat");
  probe.add_command(file.string());
  probe.mutable_timeout()->set_seconds(kPatience.count());
  const auto attempt = make_network_prober()->start(probe, system_clock().mono());
  const ProbeOutcome outcome = outcome_of(*attempt);
  check_outcome(outcome);
  CHECK(outcome.healthy);
}

void sessions_answer(std::string_view bytes) {
  if (const auto sessions = parse_sessions(bytes)) CHECK(*sessions >= 0);
}

// Whatever a media server or anybody else on the node sends: it is answered with HTTP or not at
// all, and the next one is answered, too.
void media_request(std::string_view bytes) {
  static Tenancy& tenancy = *new Tenancy;
  static PassiveChecks& passive = *new PassiveChecks(system_clock());
  static MediaAuthority& authority = *[] {
    pb::TenancySection section;
    section.add_tenants()->set_tenant("acme");
    tenancy.set(section);
    pb::ChecksSection checks;
    auto& instance = *checks.add_instances();
    instance.set_instance("media.edge-1");
    auto& probe = *instance.add_probes();
    probe.set_type(pb::CHECK_TYPE_PASSIVE);
    probe.set_name("self");
    passive.set(checks);
    return MediaAuthority::start(
               "127.0.0.1:0", tenancy, [] { return std::string("{}"); }, &passive)
        ->release();
  }();
  auto port = static_cast<uint16_t>(authority.port());
  const Fd client = loopback(port);
  send_all(client, bytes);
  shutdown(client.get(), SHUT_WR);
  std::string answer;
  char buffer[4096];
  ssize_t n = 0;
  while ((n = recv(client.get(), buffer, sizeof buffer, 0)) > 0)
    answer.append(buffer, static_cast<size_t>(n));
  CHECK(n == 0 || errno == ECONNRESET);
  CHECK(answer.empty() || answer.starts_with("HTTP/1."));
}

}  // namespace

void add_probe_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"http_answer", http_answer},
                         {"grpc_health_answer", grpc_health_answer},
                         {"command_output", command_output},
                         {"sessions_answer", sessions_answer},
                         {"media_request", media_request}});
}

}  // namespace frameworks
