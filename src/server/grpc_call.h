// A call by gRPC, between its connection (GrpcConnection) and who answers it.
//
// All of a call happens on its connection's thread; from others it is reached by its handle.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/ready_answer.h"
#include "server/grpc_wire.h"

namespace frameworks {

class GrpcConnection;
class GrpcStream;
struct GrpcStatus;
class LastCaller;

// What a call begins with. Valid while it is opened.
struct GrpcHead {
  std::string_view path;           // "/frameworks.v1.Fleet/Get"
  std::string_view authorization;  // the header's value; empty: absent
  std::string_view node;           // named by the caller's verified certificate; empty: none
  std::string_view source;         // "grpc 10.0.0.7"
  LastCaller* last_caller;         // on this connection
};

// Who answers a call. Destroyed when it has ended, either way.
class GrpcCall {
 public:
  virtual ~GrpcCall() = default;
  virtual void on_message(GrpcStream& stream, std::string_view message) = 0;
  // The caller sends nothing more.
  virtual void on_half_close(GrpcStream& stream) = 0;
  // All that was sent is on its way: the next may be sent. One at a time, so that nothing queues up
  // for a slow reader.
  virtual void on_writable(GrpcStream&) {}
  // There may be something to send.
  virtual void on_poke(GrpcStream& stream);
  // Once: how it ended (0: well), and how many bytes of messages were sent.
  virtual void on_end(int /*code*/, uint64_t /*bytes*/) {}
};

// The way to a call from any thread; nothing happens when the call has ended.
class GrpcHandle {
 public:
  GrpcHandle(std::weak_ptr<GrpcConnection> connection, int32_t stream)
      : connection_(std::move(connection)), stream_(stream) {}
  void post(std::function<void(GrpcStream&)> task) const;
  // on_poke() will be called; many pokes may become one.
  void poke();

 private:
  const std::weak_ptr<GrpcConnection> connection_;
  const int32_t stream_;
  std::atomic<bool> poked_{false};
};

// A call's side of its connection.
class GrpcStream {
 public:
  GrpcStream(GrpcConnection& connection, int32_t id);
  GrpcStream(const GrpcStream&) = delete;
  GrpcStream& operator=(const GrpcStream&) = delete;
  ~GrpcStream();

  void send(std::string_view message);
  void send(const std::vector<Piece>& pieces);  // one message
  // Several messages, each with its prefix.
  void send_framed(std::string messages, size_t count);
  // Ends the call after what was sent; again is nothing.
  void finish(const Status& status = {});
  [[nodiscard]] bool finished() const { return finished_; }
  // Nothing waits to be sent.
  [[nodiscard]] bool idle() const { return out_.empty(); }
  [[nodiscard]] GrpcCall* call() const { return call_.get(); }
  void set_call(std::unique_ptr<GrpcCall> call) { call_ = std::move(call); }
  std::shared_ptr<GrpcHandle> handle();

 private:
  friend class GrpcConnection;
  void begin_answer();

  GrpcConnection& connection_;
  const int32_t id_;
  std::unique_ptr<GrpcCall> call_;
  std::shared_ptr<GrpcHandle> handle_;
  GrpcMessages in_;
  std::string out_;
  size_t sent_ = 0;                     // of out_
  uint64_t told_ = 0;                   // bytes of messages
  size_t held_ = 0;                     // of the server's bound of request bytes
  std::unique_ptr<GrpcStatus> status_;  // that it is finished with; null: well
  MonoTime deadline_ = MonoTime::max();
  MonoTime moved_{};        // when something of out_ was taken, or it began
  bool was_asked_ = false;  // the request was there, all of it
  bool answering_ = false;  // response headers are out
  bool deferred_ = false;   // HTTP/2 waits for more to send
  bool finished_ = false;
};

// Methods of a server.
class GrpcService {
 public:
  virtual ~GrpcService() = default;
  // False: the path is not one of its methods. Otherwise it set the stream's call, or finished it.
  virtual bool open(const GrpcHead& head, GrpcStream& stream) = 0;
};

}  // namespace frameworks
