// A connection whose answer is a stream of events.
#include <fmt/format.h>

#include "server/rest_answer.h"
#include "server/rest_connection.h"
#include "server/rest_problem.h"

namespace frameworks {

// On a worker.
void RestConnection::open_events(const ExchangePtr& exchange) {
  auto stream = exchange->route->method->stream(
      *exchange->caller, *exchange->request, [weak = weak_from_this()] {
        auto self = weak.lock();
        if (self == nullptr || self->poked_.exchange(true)) return;
        self->loop_.post([self] { self->drive(); });
      });
  auto opened = std::make_shared<Result<std::unique_ptr<ReplyStream>>>(std::move(stream));
  loop_.post([self = shared_from_this(), exchange, opened] {
    if (!*opened)
      self->finish(*exchange, problem_of_call(*exchange, opened->error()));
    else
      self->start_events(exchange, std::move(**opened));
    self->drive();
  });
}

void RestConnection::start_events(const ExchangePtr& exchange,
                                  std::unique_ptr<ReplyStream> stream) {
  watching_ = exchange;
  if (state_ == State::kClosed) return end_events({}, static_cast<int>(Code::kCancelled));
  state_ = State::kEvents;
  events_ = std::move(stream);
  // Without a length: the end of the connection is the end of the stream.
  out_ += fmt::format(
      "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Type: text/event-stream\r\nCache-Control: "
      "no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nretry: 2000\n\n",
      loop_.date());
}

// Called when nothing is left to send, so that a slow reader holds one batch at most.
bool RestConnection::pump() {
  poked_.store(false);
  loop_.lend_buffer(out_);
  while (state_ == State::kEvents && out_.size() < kGather) {
    std::unique_ptr<Message> message(watching_->route->method->response->New());
    auto state = events_->next(*message);
    if (!state) {
      end_events(named_event("error", problem_answer(state.error()).body),
                 static_cast<int>(state.error().code()));
    } else if (*state == ReplyStream::State::kWait) {
      break;
    } else if (*state == ReplyStream::State::kEnd) {
      end_events(named_event("end", "{}"), 0);
    } else if (*state == ReplyStream::State::kReady) {
      append_event(*events_->ready(ReplyStream::Form::kJson), out_);
    } else {
      out_ += event_of(*watching_->route, *message);
    }
  }
  if (out_.empty()) loop_.return_buffer(out_);
  event_bytes_ += out_.size();
  return !out_.empty();
}

void RestConnection::end_events(std::string_view last, int code) {
  watching_->route->calls->end(code, system_clock().mono() - watching_->began, event_bytes_);
  watching_.reset();
  if (state_ == State::kClosed) return;
  out_ += last;
  events_.reset();
  state_ = State::kEnding;
}

}  // namespace frameworks
