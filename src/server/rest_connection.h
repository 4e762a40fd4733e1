// One HTTP connection: requests one after the other, or one event stream until its end.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "server/rest_routes.h"
#include "server/rest_server.h"

namespace frameworks {

// What the connections of a server share.
struct RestShared {
  ApiServing serving;
  RestRoutes routes;
  RestLimits limits;
  std::atomic<int> open{0};
};

// Runs on its own strand; pokes and workers' answers are posted to it.
class RestConnection : public std::enable_shared_from_this<RestConnection> {
 public:
  using Response = boost::beast::http::response<boost::beast::http::string_body>;

  RestConnection(boost::asio::ip::tcp::socket socket, std::shared_ptr<RestShared> shared);
  ~RestConnection();
  void start();
  void stop();  // from any thread

 private:
  void read();
  void on_read(boost::beast::error_code error);
  void dispatch();
  Result<Caller> caller_of(const Method& method);
  void answer(const Method& method, const Caller& caller, const std::shared_ptr<Message>& request);
  void reply(const Method& method, const Result<std::string>& body);
  void reply_error(const Error& error, std::string_view method);
  void send(unsigned status, std::string_view type, std::string body);
  void on_sent(boost::beast::error_code error);

  void open_events(const Method& method, const Caller& caller,
                   const std::shared_ptr<Message>& request);
  void start_events(const Method& method, std::unique_ptr<ReplyStream> stream);
  void watch_for_close();
  void pump();
  void end_events(std::string last, int code);
  void write_event(std::string text);
  void arm_keep_alive();
  void close();

  boost::beast::tcp_stream stream_;
  std::shared_ptr<RestShared> shared_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  Response response_;

  // Of an event stream.
  const Method* method_ = nullptr;
  std::unique_ptr<ReplyStream> events_;
  boost::asio::steady_timer keep_alive_;
  std::string out_;
  char in_ = 0;
  bool writing_ = false;
  bool last_ = false;
  bool closed_ = false;
  std::atomic<bool> poked_{false};
};

}  // namespace frameworks
