// The connections of the gRPC port: taken in here and handed on, so that they are bounded, in all
// and by address. gRPC itself takes whatever comes, until no file can be opened any more.
//
// gRPC does not tell when it closes a connection: which are still open is looked up (by the inode
// of the socket) once a second while many are.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <thread>

#include "base/clock.h"
#include "server/acceptor.h"

namespace frameworks {

class GrpcAcceptor {
 public:
  // Gets a descriptor of its own; on the acceptor's thread.
  using Take = std::function<void(int fd)>;
  // `address` as "127.0.0.1:0". Nothing is taken before start().
  static Result<std::unique_ptr<GrpcAcceptor>> listen(const std::string& address,
                                                      ConnectionLimits limits);
  ~GrpcAcceptor() { stop(); }
  void start(Take take);
  void stop();  // joins

  [[nodiscard]] int port() const { return acceptor_.port(); }
  // As far as it was noticed that others have ended.
  [[nodiscard]] const ConnectionCount& connections() const { return count_; }

 private:
  struct Open {
    ino_t inode = 0;
    std::string address;
  };
  GrpcAcceptor(Acceptor acceptor, ConnectionLimits limits);
  void loop(const std::stop_token& stop);
  void accept_all();
  void forget_closed();

  Acceptor acceptor_;
  const ConnectionLimits limits_;
  ConnectionCount count_;
  Take take_;
  std::map<int, Open> open_;  // by descriptor; the thread's own
  MonoTime looked_{};
  Fd wake_;
  std::jthread thread_;
};

}  // namespace frameworks
