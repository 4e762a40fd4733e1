// One connection of the gRPC port: HTTP/2 (RFC 9113, by nghttp2) over TLS, its calls side by side.
//
// What a peer can make it hold is bounded: headers, messages (in all connections together), calls,
// answers that are not taken. Peers that take back what they asked for again and again
// (CVE-2023-44487), or do not answer a ping, lose the connection.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/acceptor.h"
#include "server/authentication.h"
#include "server/event_loop.h"
#include "server/grpc_call.h"
#include "server/grpc_server.h"
#include "server/socket.h"

struct nghttp2_session;

namespace frameworks {

// What the connections of a server share.
struct GrpcShared {
  explicit GrpcShared(const GrpcLimits& bounds)
      : limits(bounds), count({bounds.connections, bounds.per_address}) {}

  const GrpcLimits limits;
  std::shared_ptr<const TlsContext> tls;
  ConnectionCount count;
  std::vector<std::unique_ptr<EventLoop>> loops;
  std::vector<GrpcService*> services;  // asked in this order
  std::atomic<size_t> request_bytes{0};
};

// Belongs to its loop's thread.
class GrpcConnection final : public EventLoop::Handler,
                             public std::enable_shared_from_this<GrpcConnection> {
 public:
  static void start(Accepted accepted, EventLoop& loop, std::shared_ptr<GrpcShared> shared);
  GrpcConnection(Accepted accepted, EventLoop& loop, std::shared_ptr<GrpcShared> shared);
  ~GrpcConnection() override;

  void on_ready(bool readable, bool ended) override;
  void on_turn_end() override { drive(); }
  void on_tick(MonoTime now) override;
  void on_stop() override;

 private:
  friend class GrpcHandle;
  friend class GrpcStream;
  friend struct GrpcEvents;  // nghttp2's callbacks

  // The header fields of the request that is being read: they come without others between.
  struct Fields {
    std::string path;
    std::string authorization;
    MonoTime deadline = MonoTime::max();
    size_t bytes = 0;
    bool is_post = false;
    bool is_grpc = false;
  };

  void drive();
  bool flush();
  bool take_bytes();
  void close(std::string_view why);

  void with_stream(int32_t id, const std::function<void(GrpcStream&)>& task);
  GrpcStream* find(int32_t id);

  // What nghttp2 tells.
  int on_begin(int32_t id);
  int on_field(int32_t id, std::string_view name, std::string_view value);
  void on_head(GrpcStream& stream);
  void on_data(GrpcStream& stream, std::string_view bytes);
  void on_request_end(GrpcStream& stream);
  void on_closed(int32_t id);
  void on_sent_end(int32_t id);
  // Fills `out` with what the stream has to send; -1: nothing now. Sets `end` after the last byte.
  ssize_t fill(GrpcStream& stream, char* out, size_t size, bool& end);

  // What streams ask for.
  void begin_answer(GrpcStream& stream);
  void resume(GrpcStream& stream);
  void send_trailers(GrpcStream& stream);
  void answer_http(GrpcStream& stream, const char* status);
  void hold(GrpcStream& stream);
  void note_taken_back();
  void end_late(MonoTime now);
  const std::string& node();

  EventLoop& loop_;
  const std::shared_ptr<GrpcShared> shared_;
  Socket socket_;
  const std::string address_;  // as it is counted
  const std::string source_;   // "grpc 10.0.0.7"
  std::string node_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<GrpcStream>> streams_;
  Fields fields_;
  LastCaller last_caller_;
  std::string out_;  // what the socket did not take yet
  size_t sent_ = 0;
  const MonoTime began_;
  MonoTime heard_;  // when something came last
  MonoTime stuck_since_ = MonoTime::max();
  MonoTime pinged_ = MonoTime::max();
  MonoTime next_deadline_ = MonoTime::max();
  MonoTime looked_{};  // at what is late
  MonoTime second_{};  // of taken_back_
  int taken_back_ = 0;
  bool readable_ = true;
  bool ended_ = false;
  bool is_known_ = false;  // node_ was looked up
  bool greeted_ = false;   // the peer's settings came
  bool driving_ = false;
  bool closed_ = false;
};

}  // namespace frameworks
