#include "server/grpc_connection.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include <array>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "machine/certificates/authority.h"
#include "server/grpc_status.h"

namespace frameworks {
namespace {

constexpr size_t kFrameBytes = 16 << 10;  // of data; the least that peers take (RFC 9113, 4.2)
constexpr size_t kFrameHead = 9;
constexpr std::chrono::seconds kLook{1};
constexpr size_t kKept = 1 << 10;  // of a buffer that is empty
// What peers may send before it is taken.
constexpr int32_t kStreamWindow = 1 << 20;
constexpr int32_t kConnectionWindow = 4 << 20;
// Of a request that is refused; who sends more loses the connection.
constexpr size_t kMetadataTimes = 4;
constexpr size_t kFieldOverhead = 32;  // RFC 9113, 6.5.2

nghttp2_nv field(std::string_view name, std::string_view value,
                 uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE) {
  const auto bytes = [](std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), flags};
}

// The fields that end a call; `code` and `value`s live as long as the result is used, which copies.
struct Trailers {
  explicit Trailers(const GrpcStatus* status) {
    if (status == nullptr) {
      fields.push_back(field("grpc-status", "0"));
      return;
    }
    code = fmt::to_string(status->code);
    message = grpc_percent_encode(status->message);
    fields.push_back(field("grpc-status", code, NGHTTP2_NV_FLAG_NO_COPY_NAME));
    fields.push_back(field("grpc-message", message, NGHTTP2_NV_FLAG_NO_COPY_NAME));
    if (status->details.empty()) return;
    details = base64_encode(status->details);
    fields.push_back(field("grpc-status-details-bin", details, NGHTTP2_NV_FLAG_NO_COPY_NAME));
  }
  std::string code;
  std::string message;
  std::string details;
  std::vector<nghttp2_nv> fields;
};

std::string_view view(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

// nghttp2's callbacks: they find the connection, and say what happened.
struct GrpcEvents {
  static GrpcConnection& of(void* user) { return *static_cast<GrpcConnection*>(user); }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    return of(user).on_begin(frame->hd.stream_id);
  }
  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                    void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    return of(user).on_field(frame->hd.stream_id, view(name, name_size), view(value, value_size));
  }
  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    GrpcConnection& connection = of(user);
    if (frame->hd.type == NGHTTP2_SETTINGS) connection.greeted_ = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    GrpcStream* stream = connection.find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
      connection.on_head(*stream);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) connection.on_request_end(*stream);
    return 0;
  }
  static int data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                  void* user) {
    if (GrpcStream* stream = of(user).find(id)) of(user).on_data(*stream, view(bytes, size));
    return 0;
  }
  static int closed(nghttp2_session*, int32_t id, uint32_t, void* user) {
    of(user).on_closed(id);
    return 0;
  }
  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (ends && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
      of(user).on_sent_end(frame->hd.stream_id);
    return 0;
  }
  static ssize_t read(nghttp2_session*, int32_t, uint8_t* out, size_t size, uint32_t* flags,
                      nghttp2_data_source* source, void* user) {
    auto& stream = *static_cast<GrpcStream*>(source->ptr);
    bool end = false;
    const ssize_t count = of(user).fill(stream, reinterpret_cast<char*>(out), size, end);
    if (count < 0) return NGHTTP2_ERR_DEFERRED;
    if (end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      of(user).send_trailers(stream);
    }
    return count;
  }

  static const nghttp2_session_callbacks* callbacks() {
    static const nghttp2_session_callbacks* made = [] {
      nghttp2_session_callbacks* all = nullptr;
      CHECK(nghttp2_session_callbacks_new(&all) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(all, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(all, header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(all, frame_received);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, data);
      nghttp2_session_callbacks_set_on_stream_close_callback(all, closed);
      nghttp2_session_callbacks_set_on_frame_send_callback(all, frame_sent);
      return all;
    }();
    return made;
  }
  static const nghttp2_option* options() {
    static const nghttp2_option* made = [] {
      nghttp2_option* all = nullptr;
      CHECK(nghttp2_option_new(&all) == 0);
      nghttp2_option_set_no_closed_streams(all, 1);
      return all;
    }();
    return made;
  }
};

void GrpcConnection::start(Accepted accepted, EventLoop& loop, std::shared_ptr<GrpcShared> shared) {
  auto connection = std::make_shared<GrpcConnection>(std::move(accepted), loop, std::move(shared));
  GrpcConnection& it = *connection;
  if (loop.add(it.socket_.fd(), std::move(connection))) it.drive();
}

GrpcConnection::GrpcConnection(Accepted accepted, EventLoop& loop,
                               std::shared_ptr<GrpcShared> shared)
    : loop_(loop),
      shared_(std::move(shared)),
      socket_(std::move(accepted.fd), shared_->tls.get()),
      address_(std::move(accepted.address)),
      source_("grpc " + address_text(address_)),
      began_(system_clock().mono()),
      heard_(began_) {
  CHECK(nghttp2_session_server_new2(&session_, GrpcEvents::callbacks(), this,
                                    GrpcEvents::options()) == 0);
  const std::array<nghttp2_settings_entry, 3> settings{
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, shared_->limits.max_streams_per_connection},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
        static_cast<uint32_t>(shared_->limits.max_metadata_bytes)}}};
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) ==
        0);
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) ==
        0);
}

GrpcConnection::~GrpcConnection() {
  nghttp2_session_del(session_);
  shared_->count.leave(address_);
}

void GrpcConnection::close(std::string_view why) {
  if (std::exchange(closed_, true)) return;
  spdlog::debug("{}: connection ended: {}", source_, why);
  const auto ended = std::exchange(streams_, {});  // calls end here, and not in a poke of theirs
  loop_.remove(*this);
}

void GrpcConnection::on_ready(bool readable, bool ended) {
  readable_ |= readable || socket_.is_tls();
  ended_ |= ended;
  if (!out_.empty() || !readable_) return drive();
  take_bytes();
  loop_.at_end_of_turn(*this);
}

void GrpcConnection::on_stop() {
  for (const auto& [id, stream] : streams_)
    stream->finish(Error(Code::kUnavailable, "the server stops"));
  nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  flush();
  close("the server stops");
}

void GrpcConnection::on_tick(MonoTime now) {
  const GrpcLimits& limits = shared_->limits;
  if (!greeted_) {
    if (now - began_ > limits.handshake) close("TLS and HTTP/2 did not begin in time");
    return;
  }
  if (stuck_since_ != MonoTime::max() && now - stuck_since_ > limits.patience)
    return close("what was sent is not taken");
  if (now >= next_deadline_ || now - looked_ >= kLook) {
    end_late(now);
    drive();
  }
  if (closed_ || now - heard_ < limits.quiet) return;
  if (pinged_ != MonoTime::max()) {
    if (now - pinged_ > limits.ping) close("no sign of life");
    return;
  }
  pinged_ = now;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  drive();
}

// Calls beyond their deadline, and those whose peer lets no more of the answer come.
void GrpcConnection::end_late(MonoTime now) {
  looked_ = now;
  next_deadline_ = MonoTime::max();
  for (const auto& [id, stream] : streams_) {
    if (!stream->out_.empty() && now - stream->moved_ > shared_->limits.patience)
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    if (stream->finished_) continue;
    if (stream->deadline_ <= now)
      stream->finish(Error(Code::kDeadlineExceeded, "the call's deadline has passed"));
    else
      next_deadline_ = std::min(next_deadline_, stream->deadline_);
  }
}

// Does what can be done now, until it would have to wait.
void GrpcConnection::drive() {
  while (!closed_ && flush() && readable_ && take_bytes()) continue;
}

// False when it has to wait, or is closed.
bool GrpcConnection::flush() {
  std::vector<char>& scratch = loop_.scratch();
  while (!closed_) {
    std::string_view bytes = std::string_view(out_).substr(sent_);
    if (bytes.empty()) {
      size_t size = 0;
      while (size + kFrameBytes + kFrameHead <= scratch.size()) {
        const uint8_t* frame = nullptr;
        const ssize_t count = nghttp2_session_mem_send(session_, &frame);
        if (count < 0) return close(nghttp2_strerror(static_cast<int>(count))), false;
        if (count == 0) break;
        // Frames of headers may be larger than those of data.
        if (size + static_cast<size_t>(count) > scratch.size()) {
          out_.assign(scratch.data(), size);
          out_.append(view(frame, static_cast<size_t>(count)));
          break;
        }
        std::copy_n(frame, count, scratch.data() + size);
        size += static_cast<size_t>(count);
      }
      bytes = out_.empty() ? std::string_view(scratch.data(), size) : std::string_view(out_);
      if (bytes.empty()) break;
    }
    const ssize_t count = socket_.write(bytes);
    if (count < 0 && count != Socket::kWait) return close("the peer takes nothing"), false;
    const size_t taken = count == Socket::kWait ? 0 : static_cast<size_t>(count);
    if (taken == bytes.size()) {
      let_go(out_, kKept);
      sent_ = 0;
      stuck_since_ = MonoTime::max();
      continue;
    }
    if (out_.empty())
      out_ = bytes.substr(taken);
    else
      sent_ += taken;
    if (taken > 0 || stuck_since_ == MonoTime::max()) stuck_since_ = loop_.now();
    if (count == Socket::kWait) return false;
  }
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
    socket_.finish();
    close("all was said");
  }
  return !closed_;
}

// False when nothing came.
bool GrpcConnection::take_bytes() {
  std::vector<char>& scratch = loop_.scratch();
  const ssize_t count = socket_.read(scratch.data(), scratch.size());
  if (count == Socket::kWait) return readable_ = false;
  if (count <= 0) return close("the peer is gone"), false;
  const auto size = static_cast<size_t>(count);
  if (socket_.is_drained() && !ended_) readable_ = false;
  heard_ = loop_.now();
  pinged_ = MonoTime::max();
  const auto* bytes = reinterpret_cast<const uint8_t*>(scratch.data());
  const ssize_t used = nghttp2_session_mem_recv(session_, bytes, size);
  if (used < 0) return close(nghttp2_strerror(static_cast<int>(used))), false;
  return true;
}

GrpcStream* GrpcConnection::find(int32_t id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second.get();
}

void GrpcConnection::with_stream(int32_t id, const std::function<void(GrpcStream&)>& task) {
  GrpcStream* stream = find(id);
  if (stream == nullptr) return;
  task(*stream);
  drive();
}

int GrpcConnection::on_begin(int32_t id) {
  fields_ = {};
  // Also before the peer has learnt of the limit.
  if (streams_.size() >= shared_->limits.max_streams_per_connection) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return 0;
  }
  streams_[id] = std::make_unique<GrpcStream>(*this, id);
  return 0;
}

int GrpcConnection::on_field(int32_t id, std::string_view name, std::string_view value) {
  fields_.bytes += name.size() + value.size() + kFieldOverhead;
  const size_t most = shared_->limits.max_metadata_bytes;
  if (fields_.bytes > most)
    return fields_.bytes > most * kMetadataTimes ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  GrpcStream* stream = find(id);
  if (stream == nullptr || stream->call_ != nullptr) return 0;
  if (name == ":path") {
    fields_.path = value;
  } else if (name == ":method") {
    fields_.is_post = value == "POST";
  } else if (name == "content-type") {
    fields_.is_grpc = value.starts_with("application/grpc");
  } else if (name == "authorization") {
    fields_.authorization = value;
  } else if (name == "grpc-timeout") {
    if (const auto timeout = parse_grpc_timeout(value)) fields_.deadline = loop_.now() + *timeout;
  }
  return 0;
}

void GrpcConnection::on_head(GrpcStream& stream) {
  if (fields_.bytes > shared_->limits.max_metadata_bytes)
    return stream.finish(Error(Code::kResourceExhausted, "the call has too much metadata"));
  if (!fields_.is_post) return answer_http(stream, "405");
  if (!fields_.is_grpc) return answer_http(stream, "415");
  stream.deadline_ = fields_.deadline;
  next_deadline_ = std::min(next_deadline_, fields_.deadline);
  const GrpcHead head{fields_.path, fields_.authorization, node(), source_, &last_caller_};
  for (GrpcService* service : shared_->services)
    if (service->open(head, stream)) return;
}

void GrpcConnection::on_data(GrpcStream& stream, std::string_view bytes) {
  if (stream.finished_) return;
  const Status taken =
      stream.in_.feed(bytes, shared_->limits.max_message_bytes, [&](std::string_view message) {
        if (!stream.finished_ && stream.call_ != nullptr) stream.call_->on_message(stream, message);
        return Status();
      });
  if (!taken) stream.finish(taken);
  hold(stream);
}

// What waits for the rest of its message counts against all.
void GrpcConnection::hold(GrpcStream& stream) {
  const size_t held = stream.in_.held();
  const size_t all = shared_->request_bytes += held - stream.held_;
  stream.held_ = held;
  if (held > 0 && all > shared_->limits.all_requests_bytes)
    stream.finish(Error(Code::kResourceExhausted, "too many large requests at once: try again"));
}

void GrpcConnection::on_request_end(GrpcStream& stream) {
  stream.was_asked_ = true;
  if (!stream.finished_ && stream.call_ != nullptr) stream.call_->on_half_close(stream);
}

void GrpcConnection::on_closed(int32_t id) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  const auto stream = std::move(at->second);
  streams_.erase(at);
  if (!stream->finished_ && !stream->was_asked_) note_taken_back();
}

void GrpcConnection::note_taken_back() {
  constexpr std::chrono::seconds kSecond{1};
  if (loop_.now() - second_ > kSecond) {
    second_ = loop_.now();
    taken_back_ = 0;
  }
  if (++taken_back_ != shared_->limits.taken_back + 1) return;
  spdlog::warn("{}: more than {} requests a second were taken back: the connection ends", source_,
               shared_->limits.taken_back);
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

// The answer is complete: whoever still sends the request may stop (RFC 9113, 8.1).
void GrpcConnection::on_sent_end(int32_t id) {
  if (nghttp2_session_get_stream_remote_close(session_, id) == 0)
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
}

ssize_t GrpcConnection::fill(GrpcStream& stream, char* out, size_t size, bool& end) {
  size_t used = 0;
  while (used < size) {
    if (stream.out_.empty()) {
      if (!stream.finished_ && stream.call_ != nullptr) stream.call_->on_writable(stream);
      if (stream.out_.empty()) break;
    }
    const size_t count = std::min(size - used, stream.out_.size() - stream.sent_);
    std::copy_n(stream.out_.data() + stream.sent_, count, out + used);
    used += count;
    stream.sent_ += count;
    stream.moved_ = loop_.now();
    if (stream.sent_ == stream.out_.size()) {
      let_go(stream.out_, kKept);
      stream.sent_ = 0;
    }
  }
  end = stream.finished_ && stream.out_.empty();
  stream.deferred_ = used == 0 && !end;
  return stream.deferred_ ? -1 : static_cast<ssize_t>(used);
}

void GrpcConnection::begin_answer(GrpcStream& stream) {
  stream.answering_ = true;
  std::vector<nghttp2_nv> fields{field(":status", "200"),
                                 field("content-type", "application/grpc")};
  if (stream.finished_ && stream.out_.empty()) {
    const Trailers trailers(stream.status_.get());
    fields.insert(fields.end(), trailers.fields.begin(), trailers.fields.end());
    nghttp2_submit_response(session_, stream.id_, fields.data(), fields.size(), nullptr);
    return;
  }
  nghttp2_data_provider source{};
  source.source.ptr = &stream;
  source.read_callback = GrpcEvents::read;
  nghttp2_submit_response(session_, stream.id_, fields.data(), fields.size(), &source);
}

void GrpcConnection::resume(GrpcStream& stream) {
  if (!std::exchange(stream.deferred_, false)) return;
  nghttp2_session_resume_data(session_, stream.id_);
}

void GrpcConnection::send_trailers(GrpcStream& stream) {
  const Trailers trailers(stream.status_.get());
  nghttp2_submit_trailer(session_, stream.id_, trailers.fields.data(), trailers.fields.size());
}

// To who does not speak gRPC.
void GrpcConnection::answer_http(GrpcStream& stream, const char* status) {
  stream.finished_ = stream.answering_ = true;
  const nghttp2_nv answer = field(":status", status);
  nghttp2_submit_response(session_, stream.id_, &answer, 1, nullptr);
}

const std::string& GrpcConnection::node() {
  if (!std::exchange(is_known_, true)) node_ = node_of_identity(socket_.peer_uri());
  return node_;
}

}  // namespace frameworks
