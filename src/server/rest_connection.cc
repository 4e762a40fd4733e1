#include "server/rest_connection.h"

#include <fmt/format.h>

#include "base/memory.h"
#include "server/openapi.h"
#include "server/rest_answer.h"
#include "server/rest_problem.h"

namespace frameworks {
namespace {

using Reading = HttpReading::State;

constexpr std::chrono::seconds kLingerTime{2};

std::string_view problem_name(int status) {
  switch (status) {
    case 413:
      return "content-too-large";
    case 431:
      return "head-too-large";
    case 501:
      return "not-implemented";
    case 505:
      return "version-not-supported";
    default:
      return "malformed-request";
  }
}

}  // namespace

void RestConnection::start(Accepted accepted, EventLoop& loop, RestShared& shared) {
  auto connection = std::make_shared<RestConnection>(std::move(accepted), loop, shared);
  RestConnection& it = *connection;
  it.wait(shared.limits.patience);
  if (loop.add(it.socket_.fd(), std::move(connection))) it.drive();
}

RestConnection::RestConnection(Accepted accepted, EventLoop& loop, RestShared& shared)
    : loop_(loop),
      shared_(shared),
      socket_(std::move(accepted.fd), shared.tls.get()),
      address_(std::move(accepted.address)),
      source_("rest " + address_text(address_)),
      trusted_(shared.tls != nullptr || accepted.local) {}

RestConnection::~RestConnection() {
  release_body();
  shared_.count.leave(address_);
}

void RestConnection::on_ready(bool readable, bool ended) {
  readable_ |= readable || socket_.is_tls();
  ended_ |= ended;
  if (state_ != State::kReading || !out_.empty() || !readable_) return drive();
  take_bytes();
  loop_.at_end_of_turn(*this);
}

void RestConnection::on_tick(MonoTime now) {
  if (now >= deadline_) return close();
  if (state_ != State::kEvents || !out_.empty() || now - silent_since_ < shared_.limits.keep_alive)
    return;
  out_ = ": keep-alive\n\n";
  drive();
}

void RestConnection::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  events_.reset();
  if (watching_ != nullptr) end_events({}, static_cast<int>(Code::kCancelled));
  loop_.remove(*this);
}

void RestConnection::drive() {
  while (state_ != State::kClosed) {
    if (!out_.empty()) {
      if (!flush()) return;
    } else if (state_ == State::kReading && use_bytes()) {
      continue;
    } else if (state_ == State::kEvents && pump()) {
      continue;
    } else if (state_ == State::kWorking || !readable_ || !take_bytes()) {
      return;
    }
  }
}

// False when it has to wait, or is closed.
bool RestConnection::flush() {
  if (sent_ == 0) wait(shared_.limits.patience);
  while (sent_ < out_.size()) {
    const ssize_t count = socket_.write(std::string_view(out_).substr(sent_));
    if (count == Socket::kWait) return false;
    if (count <= 0) return close(), false;
    sent_ += static_cast<size_t>(count);
  }
  sent_ = 0;
  loop_.return_buffer(out_);
  silent_since_ = loop_.now();
  switch (state_) {
    case State::kEnding:
      socket_.finish();
      state_ = State::kLinger;
      wait(kLingerTime);
      break;
    case State::kReading:
      wait(shared_.limits.idle);
      break;
    default:
      deadline_ = MonoTime::max();
      break;
  }
  return true;
}

// False when nothing came.
bool RestConnection::take_bytes() {
  std::vector<char>& scratch = loop_.scratch();
  const ssize_t count = socket_.read(scratch.data(), scratch.size());
  if (count == Socket::kWait) return readable_ = false;
  if (count <= 0) return close(), false;
  const auto size = static_cast<size_t>(count);
  if (socket_.is_drained() && !ended_) readable_ = false;
  if (state_ != State::kReading) return true;  // nobody asked for it
  const std::string_view bytes(scratch.data(), size);
  // Nothing is kept of what is used at once, the common case.
  size_t used = 0;
  if (in_.empty())
    while (state_ == State::kReading && used < size && out_.size() < kGather) {
      const size_t step = read_request(bytes.substr(used));
      if (step == 0) break;
      used += step;
    }
  in_.append(bytes.substr(used));
  return true;
}

// False when there is too little to go on.
bool RestConnection::use_bytes() {
  size_t used = 0;
  while (state_ == State::kReading && used < in_.size() && out_.size() < kGather) {
    const size_t step = read_request(std::string_view(in_).substr(used));
    if (step == 0) break;
    used += step;
  }
  in_.erase(0, used);
  if (in_.empty()) let_go(in_, kGather);
  return used > 0 || !out_.empty();
}

size_t RestConnection::read_request(std::string_view bytes) {
  if (!head_.empty()) return read_body(bytes);
  HttpHead& head = request_;
  if (searched_ == 0) wait(shared_.limits.patience);  // the request begins
  const HttpReading reading = read_http_head(bytes, shared_.limits.header_bytes, searched_, head);
  if (reading.state == Reading::kMore) return 0;
  searched_ = 0;
  if (reading.state == Reading::kRefused)
    return refuse(problem_name(reading.status), reading.why), 0;
  if (head.content_length > shared_.limits.body_bytes)
    return refuse("content-too-large", "the request's body is too large"), 0;
  if (head.chunked || bytes.size() - head.size < head.content_length)
    return begin_body(bytes, head);
  dispatch(head, bytes.substr(head.size, head.content_length));
  return head.size + head.content_length;
}

// Whom no body is taken from is told before it is sent, and nothing is held for them.
size_t RestConnection::begin_body(std::string_view bytes, const HttpHead& head) {
  const std::string_view path = head.target.substr(0, head.target.find('?'));
  const auto match = shared_.routes.match(head.method, path);
  keep_alive_ = false;
  if (match.route == nullptr) return no_route(head, match.allow), 0;
  CallerPtr caller;
  if (auto admitted = admit(head, *match.route, caller); !admitted)
    return send(problem_answer(admitted.error()), false), 0;
  admitted_ = std::move(caller);
  keep_alive_ = true;
  if (!head.chunked && !hold_body(head.content_length))
    return refuse("unavailable", "too many large requests at once"), 0;
  head_ = bytes.substr(0, head.size);
  body_size_ = head.content_length;
  if (head.chunked) chunks_.emplace();
  if (head.expects_continue) out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  return head.size;
}

size_t RestConnection::read_body(std::string_view bytes) {
  size_t used = 0;
  if (chunks_) {
    const size_t before = body_.size();
    const HttpReading reading = chunks_->feed(bytes, shared_.limits.body_bytes, body_, used);
    if (!hold_body(body_.size() - before))
      return refuse("unavailable", "too many large requests at once"), 0;
    if (reading.state == Reading::kRefused)
      return refuse(problem_name(reading.status), reading.why), 0;
    if (reading.state == Reading::kMore) return used;
  } else {
    used = std::min(bytes.size(), body_size_ - body_.size());
    body_.append(bytes.substr(0, used));
    if (body_.size() < body_size_) return used;
  }
  const std::string head_bytes = std::exchange(head_, {});
  const std::string body = std::exchange(body_, {});
  chunks_.reset();
  size_t searched = 0;
  HttpHead head;
  read_http_head(head_bytes, shared_.limits.header_bytes, searched, head);
  dispatch(head, body);
  release_body();
  return used;
}

bool RestConnection::hold_body(size_t bytes) {
  held_ += bytes;
  return shared_.body_bytes.fetch_add(bytes) + bytes <= shared_.limits.all_bodies_bytes;
}

void RestConnection::release_body() { shared_.body_bytes.fetch_sub(std::exchange(held_, 0)); }

// What follows on this connection is not understood any more.
void RestConnection::refuse(std::string_view problem, std::string_view why) {
  keep_alive_ = false;
  head_.clear();
  admitted_ = nullptr;
  let_go(body_, kGather);
  release_body();
  shared_.serving.metrics.count_request("unknown", "rest",
                                        static_cast<int>(Code::kInvalidArgument));
  RestAnswer answer = problem_answer(problem, why);
  if (answer.status == 503) answer.headers += "Retry-After: 1\r\n";
  send(answer, false);
}

// A token in clear text is believed only when it did not cross a network, and none is given to
// cross one.
Status RestConnection::admit(const HttpHead& head, const RestRoute& route, CallerPtr& caller) {
  const std::string_view header = head.find("authorization");
  if (!trusted_ && (!header.empty() || route.has_secret))
    return Error(Code::kUnauthenticated,
                 "tokens are not accepted over plain HTTP from another host: use TLS");
  ASSIGN_OR_RETURN(caller,
                   shared_.serving.authentication.identify(header, {}, source_, last_caller_));
  return authorize(*route.method, *caller);
}

bool RestConnection::serve_fixed(const HttpHead& head, std::string_view path) {
  constexpr std::string_view kProblems = "/v1/problems/";
  const bool head_only = head.method == "HEAD";
  if (!head_only && head.method != "GET") return false;
  RestAnswer out{200, "text/plain; charset=utf-8"};
  if (path == "/healthz") {
    out.body = "ok\n";
  } else if (path == "/metrics") {
    out.type = "text/plain; version=0.0.4";
    out.body = shared_.serving.metrics.render();
  } else if (path == "/v1/openapi.json") {
    out.type = "application/json";
    out.body = openapi_document();
  } else if (path.starts_with(kProblems)) {
    const ProblemType* type = find_problem(path.substr(kProblems.size()));
    if (type == nullptr) return false;
    out.body = fmt::format("{} ({})\n{}\n", type->name, type->status, type->help);
  } else {
    return false;
  }
  send(out, head_only);
  return true;
}

void RestConnection::no_route(const HttpHead& head, const std::string& allow) {
  if (head.method == "OPTIONS" && (!allow.empty() || head.target == "*"))
    return send(
        {204,
         {},
         {},
         fmt::format("Allow: {}\r\n", allow.empty() ? "GET, HEAD, POST, DELETE, OPTIONS" : allow)},
        false);
  shared_.serving.metrics.count_request("unknown", "rest", static_cast<int>(Code::kNotFound));
  if (allow.empty())
    return send(problem_answer(Error(Code::kNotFound, "no such path")), head.method == "HEAD");
  RestAnswer answer = problem_answer(
      "method-not-allowed", fmt::format("{} is not served here: use {}", head.method, allow));
  answer.headers += fmt::format("Allow: {}\r\n", allow);
  send(answer, head.method == "HEAD");
}

void RestConnection::dispatch(const HttpHead& head, std::string_view body) {
  keep_alive_ = head.keep_alive;
  const std::string_view path = head.target.substr(0, head.target.find('?'));
  const std::string_view query =
      path.size() < head.target.size() ? head.target.substr(path.size() + 1) : std::string_view();
  const auto match = shared_.routes.match(head.method, path);
  if (match.route == nullptr) return serve_fixed(head, path) ? void() : no_route(head, match.allow);
  const Method& method = *match.route->method;
  Exchange exchange;
  exchange.route = match.route;
  exchange.head_only = head.method == "HEAD";
  exchange.began = loop_.now();  // when its bytes were seen
  match.route->calls->begin();
  if (admitted_ != nullptr) {
    exchange.caller = std::exchange(admitted_, nullptr);
  } else if (auto admitted = admit(head, *match.route, exchange.caller); !admitted) {
    return finish(exchange, problem_of_call(exchange, admitted.error()));
  }
  if (match.route->document != nullptr) exchange.accept = head.find("accept");
  const bool fits =
      match.route->document != nullptr ||
      accepts(head.find("accept"), method.stream ? "text/event-stream" : "application/json");
  if (!fits)
    return finish(exchange, problem_answer("not-acceptable",
                                           method.stream ? "this answers with text/event-stream"
                                                         : "this answers with application/json"));
  if (!body.empty() && !is_json_type(head.find("content-type")))
    return finish(exchange,
                  problem_answer("unsupported-media-type", "the body must be application/json"));
  exchange.conditions = read_conditions(head);
  exchange.request.reset(method.request->New());
  Status good = fill_request(match, query, body, *exchange.request);
  if (good) good = apply_conditions(head, exchange.conditions, *match.route, *exchange.request);
  if (good) good = scope(method, *exchange.caller, *exchange.request);
  if (good) good = method.rules->check(*exchange.request);
  if (!good) return finish(exchange, problem_of_call(exchange, good.error()));
  answer(std::move(exchange));
}

void RestConnection::answer(Exchange exchange) {
  const Method& method = *exchange.route->method;
  if (method.stream && exchange.head_only) return finish(exchange, {200, "text/event-stream"});
  if (method.ready) {
    auto ready = method.ready(*exchange.caller, *exchange.request);
    if (!ready) return finish(exchange, problem_of_call(exchange, ready.error()));
    return send_ready(exchange, **ready);
  }
  if (!method.stream && method.runs == Runs::kInline) return finish(exchange, compute(exchange));
  answer_later(std::make_shared<Exchange>(std::move(exchange)));
}

void RestConnection::answer_later(const ExchangePtr& exchange) {
  const Method& method = *exchange->route->method;
  state_ = State::kWorking;
  deadline_ = MonoTime::max();
  Workers& workers = method.stream ? shared_.serving.streams : shared_.serving.workers;
  const bool accepted = workers.try_post([self = shared_from_this(), exchange] {
    if (exchange->route->method->stream) return self->open_events(exchange);
    self->loop_.post([self, exchange, answer = compute(*exchange)] {
      self->finish(*exchange, answer);
      self->drive();
    });
  });
  if (!accepted)
    finish(*exchange,
           problem_answer(Error(Code::kResourceExhausted, "the server is busy: try again")));
}

RestAnswer RestConnection::problem_of_call(const Exchange& exchange, const Error& error) {
  if (error.code() == Code::kAborted && exchange.conditions.if_match != 0) {
    RestAnswer answer = problem_answer("precondition-failed", error.message());
    answer.code = static_cast<int>(error.code());
    return answer;
  }
  return problem_answer(error);
}

// On the loop's thread or on a worker.
RestAnswer RestConnection::compute(const Exchange& exchange) {
  const Method& method = *exchange.route->method;
  std::unique_ptr<Message> response(method.response->New());
  const Status status = method.unary(*exchange.caller, *exchange.request, *response);
  if (!status) return problem_of_call(exchange, status.error());
  RestAnswer answer;
  if (exchange.route->document != nullptr) {
    answer.own_type = media_type_of(*exchange.route, *response);
    const std::string_view type = answer.own_type;
    if (!accepts(exchange.accept, type.substr(0, type.find(';'))))
      return problem_answer("not-acceptable", fmt::format("this answers with {}", type));
  }
  const int64_t version = version_of(*exchange.route, *response);
  answer.version = version;
  const auto* unchanged = response->GetDescriptor()->FindFieldByName("not_modified");
  const bool same =
      (version > 0 && version == exchange.conditions.if_none_match) ||
      (unchanged != nullptr && response->GetReflection()->GetBool(*response, unchanged));
  if (same)
    answer.status = 304;
  else if (exchange.route->document != nullptr)
    answer.body = document_of(*exchange.route, *response);
  else
    answer.body = body_of(*exchange.route, *response);
  return answer;
}

void RestConnection::send_ready(const Exchange& exchange, const ReadyAnswer& ready) {
  RestAnswer answer;
  answer.version = ready.revision;
  if (ready.not_modified ||
      (ready.revision > 0 && ready.revision == exchange.conditions.if_none_match)) {
    answer.status = 304;
    return finish(exchange, answer);
  }
  size_t size = 0;
  for (const Piece& piece : ready.json) size += piece->size();
  exchange.route->calls->end(0, system_clock().mono() - exchange.began, size);
  if (out_.empty()) loop_.lend_buffer(out_);
  write_head(answer, size, loop_.date(), keep_alive_, out_);
  if (!exchange.head_only)
    for (const Piece& piece : ready.json) out_ += *piece;
  state_ = keep_alive_ ? State::kReading : State::kEnding;
}

void RestConnection::finish(const Exchange& exchange, const RestAnswer& answer) {
  exchange.route->calls->end(answer.code, system_clock().mono() - exchange.began,
                             answer.body.size());
  send(answer, exchange.head_only);
}

void RestConnection::send(const RestAnswer& answer, bool head_only) {
  if (state_ == State::kClosed) return;
  if (out_.empty()) loop_.lend_buffer(out_);
  write_answer(answer, loop_.date(), keep_alive_, head_only, out_);
  state_ = keep_alive_ ? State::kReading : State::kEnding;
}

}  // namespace frameworks
