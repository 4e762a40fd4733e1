#include "server/grpc_call.h"

#include "server/grpc_connection.h"
#include "server/grpc_status.h"

namespace frameworks {

void GrpcCall::on_poke(GrpcStream& stream) {
  if (stream.idle()) on_writable(stream);
}

void GrpcHandle::post(std::function<void(GrpcStream&)> task) const {
  const auto connection = connection_.lock();
  if (connection == nullptr) return;
  connection->loop_.post(
      [connection, id = stream_, task = std::move(task)] { connection->with_stream(id, task); });
}

void GrpcHandle::poke() {
  if (poked_.exchange(true)) return;
  post([this](GrpcStream& stream) {  // the stream holds its handle
    poked_.store(false);
    if (!stream.finished() && stream.call() != nullptr) stream.call()->on_poke(stream);
  });
}

GrpcStream::GrpcStream(GrpcConnection& connection, int32_t id) : connection_(connection), id_(id) {}

GrpcStream::~GrpcStream() {
  connection_.shared_->request_bytes.fetch_sub(held_);
  if (!finished_ && call_ != nullptr) call_->on_end(static_cast<int>(Code::kCancelled), told_);
}

std::shared_ptr<GrpcHandle> GrpcStream::handle() {
  if (handle_ == nullptr) handle_ = std::make_shared<GrpcHandle>(connection_.weak_from_this(), id_);
  return handle_;
}

void GrpcStream::send(std::string_view message) {
  if (finished_) return;
  append_grpc_prefix(message.size(), out_);
  out_ += message;
  told_ += message.size();
  begin_answer();
}

void GrpcStream::send(const std::vector<Piece>& pieces) {
  if (finished_) return;
  size_t size = 0;
  for (const Piece& piece : pieces) size += piece->size();
  out_.reserve(out_.size() + size + kGrpcPrefixBytes);
  append_grpc_prefix(size, out_);
  for (const Piece& piece : pieces) out_ += *piece;
  told_ += size;
  begin_answer();
}

void GrpcStream::send_framed(std::string messages, size_t count) {
  if (finished_) return;
  told_ += messages.size() - count * kGrpcPrefixBytes;
  if (out_.empty())
    out_ = std::move(messages);
  else
    out_ += messages;
  begin_answer();
}

void GrpcStream::begin_answer() {
  if (sent_ == 0) moved_ = connection_.loop_.now();
  if (answering_)
    connection_.resume(*this);
  else
    connection_.begin_answer(*this);
}

void GrpcStream::finish(const Status& status) {
  if (finished_) return;
  finished_ = true;
  if (!status) status_ = std::make_unique<GrpcStatus>(to_grpc(status.error()));
  if (call_ != nullptr) call_->on_end(status_ == nullptr ? 0 : status_->code, told_);
  begin_answer();
}

}  // namespace frameworks
