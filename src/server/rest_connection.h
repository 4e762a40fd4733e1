// One HTTP connection: requests one after the other, or one event stream until its end.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "server/event_loop.h"
#include "server/http_request.h"
#include "server/rest_request.h"
#include "server/rest_routes.h"
#include "server/rest_server.h"
#include "server/socket.h"

namespace frameworks {

// What the connections of a server share.
struct RestShared {
  RestShared(ApiServing api, RestLimits bounds)
      : serving(api),
        routes(api.api, api.metrics),
        limits(bounds),
        count({bounds.connections, bounds.per_address}) {}

  const ApiServing serving;
  const RestRoutes routes;
  const RestLimits limits;
  std::shared_ptr<const TlsContext> tls;  // null: plain
  ConnectionCount count;
  std::atomic<size_t> body_bytes{0};
};

// What is sent back: a whole response.
struct RestAnswer {
  int status = 200;
  std::string_view type = "application/json";
  std::string body{};
  std::string headers{};   // further ones, each with its line end
  int code = 0;            // for the metrics
  std::string own_type{};  // instead of `type`, where a handler chose it
  int64_t version = 0;     // as ETag; 0: none
};

// Belongs to its loop's thread; pokes and workers' answers are posted to it.
class RestConnection final : public EventLoop::Handler,
                             public std::enable_shared_from_this<RestConnection> {
 public:
  static void start(Accepted accepted, EventLoop& loop, RestShared& shared);
  RestConnection(Accepted accepted, EventLoop& loop, RestShared& shared);
  ~RestConnection() override;

  void on_ready(bool readable, bool ended) override;
  void on_turn_end() override { drive(); }
  void on_tick(MonoTime now) override;
  void on_stop() override { close(); }

 private:
  // Answers to pipelined requests, and events, that are gathered before they are sent.
  static constexpr size_t kGather = 64 << 10;

  enum class State {
    kReading,  // for a request, or the rest of one
    kWorking,  // somebody computes the answer
    kEvents,   // an event stream is open
    kEnding,   // what is to be sent is sent, then the connection ends
    kLinger,   // waits for the peer to end, so that it can read the answer
    kClosed,
  };
  // A request whose answer is computed.
  struct Exchange {
    const RestRoute* route = nullptr;
    CallerPtr caller;
    Conditions conditions;
    std::unique_ptr<Message> request;
    bool head_only = false;
    std::string accept;  // of requests for documents, whose type the handler chooses
    MonoTime began{};    // by the clock: the loop reads it once for many requests
  };
  using ExchangePtr = std::shared_ptr<Exchange>;

  // Does what can be done now: sends, reads, answers, until it would have to wait.
  void drive();
  bool flush();
  bool take_bytes();
  bool use_bytes();
  // How many bytes at the front of `bytes` were used up.
  size_t read_request(std::string_view bytes);
  size_t begin_body(std::string_view bytes, const HttpHead& head);
  size_t read_body(std::string_view bytes);
  void refuse(std::string_view problem, std::string_view why);
  bool hold_body(size_t bytes);
  void release_body();

  void dispatch(const HttpHead& head, std::string_view body);
  bool serve_fixed(const HttpHead& head, std::string_view path);
  void no_route(const HttpHead& head, const std::string& allow);
  Status admit(const HttpHead& head, const RestRoute& route, CallerPtr& caller);
  void answer(Exchange exchange);
  void answer_later(const ExchangePtr& exchange);
  static RestAnswer compute(const Exchange& exchange);
  static RestAnswer problem_of_call(const Exchange& exchange, const Error& error);
  void send_ready(const Exchange& exchange, const ReadyAnswer& ready);
  void finish(const Exchange& exchange, const RestAnswer& answer);
  void send(const RestAnswer& answer, bool head_only);

  void open_events(const ExchangePtr& exchange);
  void start_events(const ExchangePtr& exchange, std::unique_ptr<ReplyStream> stream);
  bool pump();
  void end_events(std::string_view last, int code);

  void wait(std::chrono::seconds patience) { deadline_ = loop_.now() + patience; }
  void close();

  EventLoop& loop_;
  RestShared& shared_;
  Socket socket_;
  const std::string address_;  // as it is counted
  const std::string source_;   // "rest 10.0.0.7"
  const bool trusted_;         // tokens may come in here
  State state_ = State::kReading;
  bool readable_ = true;
  bool ended_ = false;  // the peer sends nothing more
  bool keep_alive_ = true;
  MonoTime deadline_ = MonoTime::max();

  std::string in_;  // bytes that are not used yet
  size_t searched_ = 0;
  HttpHead request_;  // the one that is read now, or was
  LastCaller last_caller_;
  // Of a request whose body has yet to arrive.
  std::string head_;
  CallerPtr admitted_;  // once a request: it counts against the caller's rate
  std::string body_;
  size_t body_size_ = 0;
  std::optional<ChunkedBody> chunks_;
  size_t held_ = 0;  // of shared_.body_bytes

  std::string out_;
  size_t sent_ = 0;

  // Of an event stream.
  ExchangePtr watching_;
  std::unique_ptr<ReplyStream> events_;
  MonoTime silent_since_{};
  uint64_t event_bytes_ = 0;
  std::atomic<bool> poked_{false};
};

}  // namespace frameworks
