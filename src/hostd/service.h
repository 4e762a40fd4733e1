// The Host as a gRPC service on a unix socket.
#pragma once

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "hostd/host.h"

namespace grpc {
class Server;
}

namespace frameworks::hostd {

// Whoever may open the socket may do everything, so it is root's only.
class Service {
 public:
  // A call without a deadline waits this long for a machine.
  static constexpr std::chrono::seconds kDefaultPatience{30};

  explicit Service(Host& host);
  ~Service();
  Status start(const std::filesystem::path& socket);
  // Calls under way are given a moment, then cancelled.
  void stop();

 private:
  class Calls;
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace frameworks::hostd
