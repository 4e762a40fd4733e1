#include "server/grpc_table.h"

#include <fmt/format.h>

namespace frameworks {
namespace {

// How much a stream says before the connection has its turn.
constexpr size_t kBatchBytes = 16 << 10;

void append(const Message& message, std::string& out) {
  const size_t size = message.ByteSizeLong();
  append_grpc_prefix(size, out);
  const size_t at = out.size();
  out.resize(at + size);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out.data() + at));
}

void append(const std::vector<Piece>& pieces, std::string& out) {
  size_t size = 0;
  for (const Piece& piece : pieces) size += piece->size();
  append_grpc_prefix(size, out);
  for (const Piece& piece : pieces) out += *piece;
}

// What a stream has to say now.
struct Batch {
  std::string bytes;
  size_t count = 0;
  bool waits = false;  // for a poke
  bool ended = false;
  Status status;
};

}  // namespace

// What a call needs also on workers; a call that is taken back ends when its worker has.
struct GrpcTable::Work {
  ~Work() {
    if (counted != nullptr) counted->fetch_sub(1);
  }

  Batch next() {
    Batch out;
    std::unique_ptr<Message> response(method->response->New());
    while (out.bytes.size() < kBatchBytes) {
      auto state = replies->next(*response);
      if (!state) {
        out.ended = true;
        out.status = std::move(state.error());
        return out;
      }
      out.waits = *state == ReplyStream::State::kWait;
      out.ended = *state == ReplyStream::State::kEnd;
      if (out.waits || out.ended) return out;
      ++out.count;
      if (*state == ReplyStream::State::kReady) {
        append(replies->ready(ReplyStream::Form::kProto)->proto, out.bytes);
      } else {
        append(*response, out.bytes);
        response->Clear();
      }
    }
    return out;
  }

  const Method* method = nullptr;
  CallerPtr caller;
  std::unique_ptr<Message> request;
  std::unique_ptr<ReplyStream> replies;
  std::shared_ptr<std::atomic<int>> counted;
};

class GrpcTable::Call final : public GrpcCall {
 public:
  Call(const ApiServing& serving, const Entry& entry)
      : serving_(serving), calls_(*entry.calls), began_(system_clock().mono()) {
    work_->method = entry.method;
    calls_.begin();
  }

  // Who calls, and whether that is allowed.
  Status admit(const GrpcHead& head, const std::shared_ptr<std::atomic<int>>& open, int most) {
    work_->counted = open;
    if (open->fetch_add(1) >= most)
      return Error(Code::kResourceExhausted, "too many calls at once: try again");
    // Who shows a token is who the token says: the certificate is not asked for.
    ASSIGN_OR_RETURN(work_->caller, serving_.authentication.identify(
                                        head.authorization,
                                        head.authorization.empty() ? head.node : std::string_view(),
                                        head.source, *head.last_caller));
    return authorize(*work_->method, *work_->caller);
  }

  void on_message(GrpcStream& stream, std::string_view message) override {
    if (std::exchange(was_asked_, true))
      return stream.finish(Error(Code::kInvalidArgument, "one request is taken"));
    const Method& method = *work_->method;
    work_->request.reset(method.request->New());
    Message& request = *work_->request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size())))
      return stream.finish(
          Error(Code::kInvalidArgument, fmt::format("not a {}", request.GetTypeName())));
    Status good = scope(method, *work_->caller, request);
    if (good) good = method.rules->check(request);
    if (!good) return stream.finish(good);
    if (method.ready) return answer_ready(stream);
    if (method.stream) return open_stream(stream);
    if (method.runs == Runs::kInline) return answer(stream);
    answer_by_worker(stream);
  }

  void on_half_close(GrpcStream& stream) override {
    if (!was_asked_) stream.finish(Error(Code::kInvalidArgument, "no request was sent"));
  }

  void on_poke(GrpcStream& stream) override {
    waits_ = false;
    again_ = busy_;
    if (stream.idle()) on_writable(stream);
  }

  void on_writable(GrpcStream& stream) override {
    if (!is_open_ || busy_ || waits_) return;
    busy_ = true;
    again_ = false;
    serving_.streams.post([work = work_, handle = stream.handle()] {
      auto batch = std::make_shared<Batch>(work->next());
      handle->post([batch](GrpcStream& to) { static_cast<Call*>(to.call())->say(to, *batch); });
    });
  }

  void on_end(int code, uint64_t bytes) override {
    calls_.end(code, system_clock().mono() - began_, bytes);
  }

 private:
  void answer_ready(GrpcStream& stream) {
    const auto ready = work_->method->ready(*work_->caller, *work_->request);
    if (!ready) return stream.finish(ready.error());
    stream.send((*ready)->proto);
    stream.finish();
  }

  void answer(GrpcStream& stream) {
    std::unique_ptr<Message> response(work_->method->response->New());
    const Status status = work_->method->unary(*work_->caller, *work_->request, *response);
    if (!status) return stream.finish(status);
    std::string bytes;
    append(*response, bytes);
    stream.send_framed(std::move(bytes), 1);
    stream.finish();
  }

  void answer_by_worker(GrpcStream& stream) {
    const bool accepted = serving_.workers.try_post([work = work_, handle = stream.handle()] {
      std::unique_ptr<Message> response(work->method->response->New());
      const Status status = work->method->unary(*work->caller, *work->request, *response);
      auto bytes = std::make_shared<std::string>();
      if (status) append(*response, *bytes);
      handle->post([status, bytes](GrpcStream& to) {
        if (status) to.send_framed(std::move(*bytes), 1);
        to.finish(status);
      });
    });
    if (!accepted) stream.finish(Error(Code::kResourceExhausted, "the server is busy: try again"));
  }

  void open_stream(GrpcStream& stream) {
    const bool accepted = serving_.streams.try_post([work = work_, handle = stream.handle()] {
      auto replies =
          work->method->stream(*work->caller, *work->request, [handle] { handle->poke(); });
      const Status status = replies ? Status() : Status(std::move(replies.error()));
      if (replies) work->replies = std::move(*replies);
      handle->post([status](GrpcStream& to) {
        auto& call = *static_cast<Call*>(to.call());
        call.work_->request.reset();
        if (!status) return to.finish(status);
        call.is_open_ = true;
        call.on_writable(to);
      });
    });
    if (!accepted) stream.finish(Error(Code::kResourceExhausted, "the server is busy: try again"));
  }

  // A worker's batch.
  void say(GrpcStream& stream, Batch& batch) {
    busy_ = false;
    if (batch.count > 0) stream.send_framed(std::move(batch.bytes), batch.count);
    if (batch.ended) {
      is_open_ = false;
      return stream.finish(batch.status);
    }
    waits_ = batch.waits && !again_;
    // Where something was sent, the connection asks for more once that is on its way.
    if (stream.idle()) on_writable(stream);
  }

  const ApiServing& serving_;
  CallSeries& calls_;
  const MonoTime began_;
  const std::shared_ptr<Work> work_ = std::make_shared<Work>();
  bool was_asked_ = false;
  bool is_open_ = false;  // there are replies
  bool busy_ = false;     // a worker asks for more
  bool again_ = false;    // there may be more than that
  bool waits_ = false;    // all was said, until a poke
};

GrpcTable::GrpcTable(ApiServing serving, const GrpcLimits& limits)
    : serving_(serving), max_calls_(limits.max_calls), max_streams_(limits.max_streams) {
  for (const auto& method : serving_.api.methods())
    entries_["/" + method->name] = {
        method.get(), &serving_.metrics.series(method->name, "grpc", method->stream != nullptr)};
}

bool GrpcTable::open(const GrpcHead& head, GrpcStream& stream) {
  const auto at = entries_.find(head.path);
  if (at == entries_.end()) {
    serving_.metrics.count_request("unknown", "grpc", static_cast<int>(Code::kUnimplemented));
    stream.finish(Error(Code::kUnimplemented, fmt::format("no such method: {}", head.path)));
    return true;
  }
  const bool is_stream = at->second.method->stream != nullptr;
  auto call = std::make_unique<Call>(serving_, at->second);
  Call& it = *call;
  stream.set_call(std::move(call));
  const Status admitted =
      it.admit(head, is_stream ? streams_ : calls_, is_stream ? max_streams_ : max_calls_);
  if (!admitted) stream.finish(admitted);
  return true;
}

}  // namespace frameworks
