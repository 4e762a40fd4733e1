// The server, wired: store, health, sessions, operations, API, both transports.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/orchestration/disruption_budget.h"

namespace frameworks {

class TxtResolver;

struct QuartermasterOptions {
  std::filesystem::path state;
  std::string listen_grpc = "127.0.0.1:19002";
  std::string listen_rest = "127.0.0.1:18002";
  // REST over TLS with the server's certificate; kAuto: where REST listens on more than this host.
  enum class RestTls { kAuto, kOn, kOff };
  RestTls rest_tls = RestTls::kAuto;
  // Empty: SQLite in the state folder. Else a PostgreSQL database, which several servers may use.
  std::string store;
  // This server's name among several; empty: "<host>:<port of gRPC>".
  std::string replica;
  // "address:port" that agents dial; empty: where gRPC listens.
  std::string advertise;
  // frameworks-hostd's socket; unused when simulated.
  std::filesystem::path hostd;
  // Holds ansible_collections/frameworks/infra; unused when simulated.
  std::filesystem::path collection;
  bool simulated = false;
  // Seal secrets with a new key from this start on.
  bool rotate_secrets = false;
  // Wrong tokens that an address may send at once, before it is told to wait.
  int64_t wrong_tokens = 100;
  Duration heartbeat = std::chrono::seconds(1);
  DisruptionBudget disruption{};
  // Entries of the audit log older than this are cut off; zero: kept for ever.
  Duration audit_keep{};
  // "address:port" that is asked for the TXT records of custom domains; empty: as /etc/resolv.conf
  // says.
  std::string resolver;
  // Who is told of incidents: URLs, or "@FILE" with one in it (see runtime/health/notice.h).
  std::vector<std::string> webhooks;
  std::vector<std::string> alertmanagers;
  // In place of the DNS, for tests; outlives the server.
  TxtResolver* txt = nullptr;
};

class Quartermaster {
 public:
  // Makes the state folder when missing, takes up what an earlier server left, and serves when it
  // returns. kFailedPrecondition when another server uses the state folder.
  static Result<std::unique_ptr<Quartermaster>> start(const QuartermasterOptions& options);
  virtual ~Quartermaster() = default;  // ends calls, leaves operations to be taken up again

  [[nodiscard]] virtual int grpc_port() const = 0;
  [[nodiscard]] virtual int rest_port() const = 0;
};

}  // namespace frameworks
