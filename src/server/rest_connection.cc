#include "server/rest_connection.h"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>

#include "model/json.h"

namespace frameworks {
namespace http = boost::beast::http;
using boost::beast::error_code;
namespace {

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::string event(std::string_view name, std::string_view data) {
  if (name.empty()) return fmt::format("data: {}\n\n", data);
  return fmt::format("event: {}\ndata: {}\n\n", name, data);
}

std::string json_of(const Method& method, const Message& message) {
  // The one answer that hands out a secret is the one whose response declares it.
  const auto* token = method.descriptor->output_type()->FindFieldByName("token");
  const bool hands_out = token != nullptr && token->options().GetExtension(pb::rules).secret();
  return json_text(to_json(message, hands_out ? Secrets::kShow : Secrets::kMask));
}

}  // namespace

RestConnection::RestConnection(boost::asio::ip::tcp::socket socket,
                               std::shared_ptr<RestShared> shared)
    : stream_(std::move(socket)), shared_(std::move(shared)), keep_alive_(stream_.get_executor()) {
  shared_->open.fetch_add(1);
}

RestConnection::~RestConnection() { shared_->open.fetch_sub(1); }

void RestConnection::start() {
  boost::asio::dispatch(stream_.get_executor(), [self = shared_from_this()] { self->read(); });
}

void RestConnection::stop() {
  boost::asio::post(stream_.get_executor(), [self = shared_from_this()] { self->close(); });
}

void RestConnection::close() {
  closed_ = true;
  events_.reset();
  keep_alive_.cancel();
  error_code ignored;
  stream_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_both, ignored);
  stream_.close();
}

void RestConnection::read() {
  parser_.emplace();
  parser_->header_limit(shared_->limits.header_bytes);
  parser_->body_limit(shared_->limits.body_bytes);
  stream_.expires_after(shared_->limits.patience);
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](error_code error, size_t) { self->on_read(error); });
}

void RestConnection::on_read(error_code error) {
  if (error == http::error::body_limit || error == http::error::header_limit) {
    parser_->get().keep_alive(false);
    return reply_error(Error(Code::kResourceExhausted, "the request is too large"), "unknown");
  }
  if (error) return close();
  dispatch();
}

// A token in clear text is believed only when it did not cross a network.
Result<Caller> RestConnection::caller_of(const Method& method) {
  const std::string_view header = view(parser_->get()[http::field::authorization]);
  if (!header.empty()) {
    error_code ignored;
    const auto remote = stream_.socket().remote_endpoint(ignored).address();
    const auto local = stream_.socket().local_endpoint(ignored).address();
    if (!remote.is_loopback() && remote != local)
      return Error(Code::kUnauthenticated,
                   "tokens are not accepted over plain HTTP from another host: use gRPC with TLS");
  }
  ASSIGN_OR_RETURN(Caller caller, shared_->serving.authentication.identify(header, {}));
  RETURN_IF_ERROR(authorize(method, caller));
  return caller;
}

void RestConnection::dispatch() {
  const auto& request = parser_->get();
  const std::string_view target = view(request.target());
  const std::string_view path = target.substr(0, target.find('?'));
  const std::string_view query =
      path.size() < target.size() ? target.substr(path.size() + 1) : std::string_view();
  if (request.method() == http::verb::get && path == "/healthz")
    return send(200, "text/plain", "ok\n");
  if (request.method() == http::verb::get && path == "/metrics")
    return send(200, "text/plain; version=0.0.4", shared_->serving.metrics.render());
  auto match = shared_->routes.match(view(request.method_string()), path);
  if (!match) return reply_error(match.error(), "unknown");
  const Method& method = *match->method;
  auto caller = caller_of(method);
  if (!caller) return reply_error(caller.error(), method.name);
  std::shared_ptr<Message> message(method.request->New());
  Status good = fill_request(*match, query, request.body(), *message);
  if (good) good = check_request(*message);
  if (!good) return reply_error(good.error(), method.name);
  if (method.runs == Runs::kInline) return answer(method, *caller, message);
  stream_.expires_never();
  const bool accepted =
      shared_->serving.workers.try_post([self = shared_from_this(), &method, caller = *caller,
                                         message] { self->answer(method, caller, message); });
  if (!accepted)
    reply_error(Error(Code::kResourceExhausted, "the server is busy: try again"), method.name);
}

// On the strand or on a worker.
void RestConnection::answer(const Method& method, const Caller& caller,
                            const std::shared_ptr<Message>& request) {
  if (method.stream) return open_events(method, caller, request);
  std::unique_ptr<Message> response(method.response->New());
  const Status status = method.unary(caller, *request, *response);
  Result<std::string> body = status ? Result<std::string>(json_of(method, *response))
                                    : Result<std::string>(status.error());
  boost::asio::dispatch(
      stream_.get_executor(),
      [self = shared_from_this(), &method, body = std::move(body)] { self->reply(method, body); });
}

void RestConnection::reply(const Method& method, const Result<std::string>& body) {
  if (!body) return reply_error(body.error(), method.name);
  shared_->serving.metrics.count_request(method.name, "rest", 0);
  send(200, "application/json", *body);
}

void RestConnection::reply_error(const Error& error, std::string_view method) {
  shared_->serving.metrics.count_request(method, "rest", static_cast<int>(error.code()));
  send(static_cast<unsigned>(http_status(error.code())), "application/problem+json",
       json_text(problem(error)));
}

void RestConnection::send(unsigned status, std::string_view type, std::string body) {
  if (closed_) return;
  const bool keep = parser_->get().keep_alive();
  response_ = Response(http::int_to_status(status), 11);
  response_.set(http::field::content_type, boost::beast::string_view(type.data(), type.size()));
  response_.set(http::field::cache_control, "no-store");
  response_.set("X-Content-Type-Options", "nosniff");
  if (status == 401) response_.set(http::field::www_authenticate, "Bearer");
  response_.keep_alive(keep);
  response_.body() = std::move(body);
  response_.prepare_payload();
  stream_.expires_after(shared_->limits.patience);
  http::async_write(stream_, response_, [self = shared_from_this()](error_code error, size_t) {
    self->on_sent(error);
  });
}

void RestConnection::on_sent(error_code error) {
  if (error || !response_.keep_alive()) return close();
  read();
}

void RestConnection::open_events(const Method& method, const Caller& caller,
                                 const std::shared_ptr<Message>& request) {
  auto stream = method.stream(caller, *request, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self == nullptr || self->poked_.exchange(true)) return;
    boost::asio::post(self->stream_.get_executor(), [self] { self->pump(); });
  });
  auto opened = std::make_shared<Result<std::unique_ptr<ReplyStream>>>(std::move(stream));
  boost::asio::dispatch(stream_.get_executor(), [self = shared_from_this(), &method, opened] {
    if (!*opened) return self->reply_error(opened->error(), method.name);
    self->start_events(method, std::move(**opened));
  });
}

void RestConnection::start_events(const Method& method, std::unique_ptr<ReplyStream> stream) {
  if (closed_) return;
  method_ = &method;
  events_ = std::move(stream);
  watch_for_close();
  arm_keep_alive();
  // Without a length: the end of the connection is the end of the stream.
  write_event(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
}

// A reader that leaves is noticed although nothing more is expected of it.
void RestConnection::watch_for_close() {
  stream_.socket().async_read_some(boost::asio::buffer(&in_, 1),
                                   [self = shared_from_this()](error_code error, size_t) {
                                     if (error) return self->close();
                                     self->watch_for_close();
                                   });
}

void RestConnection::arm_keep_alive() {
  keep_alive_.expires_after(shared_->limits.keep_alive);
  keep_alive_.async_wait([self = shared_from_this()](error_code error) {
    if (error || self->closed_) return;
    if (!self->writing_) self->write_event(": keep-alive\n\n");
    self->arm_keep_alive();
  });
}

void RestConnection::pump() {
  if (writing_ || closed_ || events_ == nullptr) return;
  poked_.store(false);
  std::unique_ptr<Message> message(method_->response->New());
  auto state = events_->next(*message);
  if (!state)
    return end_events(event("error", json_text(problem(state.error()))),
                      static_cast<int>(state.error().code()));
  if (*state == ReplyStream::State::kWait) return;
  if (*state == ReplyStream::State::kEnd) return end_events(event("end", "{}"), 0);
  write_event(event("", json_of(*method_, *message)));
}

void RestConnection::end_events(std::string last, int code) {
  shared_->serving.metrics.count_request(method_->name, "rest", code);
  last_ = true;
  write_event(std::move(last));
}

void RestConnection::write_event(std::string text) {
  writing_ = true;
  out_ = std::move(text);
  // A reader that does not take an event in time is let go.
  stream_.expires_after(shared_->limits.patience);
  boost::asio::async_write(stream_, boost::asio::buffer(out_),
                           [self = shared_from_this()](error_code error, size_t) {
                             self->writing_ = false;
                             if (error || self->last_) return self->close();
                             self->stream_.expires_never();
                             self->pump();
                           });
}

}  // namespace frameworks
