#include "server/grpc_transport.h"

#include <fmt/format.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/impl/codegen/proto_buffer_reader.h>
#include <grpcpp/impl/codegen/proto_buffer_writer.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <charconv>
#include <mutex>
#include <unordered_map>

#include "base/log.h"
#include "machine/certificates/authority.h"
#include "server/grpc_acceptor.h"
#include "server/grpc_status.h"
#include "server/taken_back.h"
#include "server/tls_buffers.h"

namespace frameworks {
namespace {

// How long calls may still end well when the server stops.
constexpr std::chrono::seconds kStopGrace{1};
// How long a connection may take to say who it is.
constexpr int kHandshakeMs = 10'000;
constexpr int kQuietRead = 1 << 10;
constexpr int kTlsFrame = 4 << 10;

bool parse(grpc::ByteBuffer& bytes, Message& message) {
  grpc::ProtoBufferReader reader(&bytes);
  return message.ParseFromZeroCopyStream(&reader);
}

grpc::ByteBuffer serialize(const Message& message) {
  const size_t size = message.ByteSizeLong();
  grpc::Slice slice(size);
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return grpc::ByteBuffer(&slice, 1);
}

// Small pieces are copied, which is cheaper than counting who holds them; large ones are shared.
grpc::Slice slice_of(const Piece& piece) {
  constexpr size_t kCopied = 2 << 10;
  if (piece->size() <= kCopied) return grpc::Slice(*piece);
  return grpc::Slice(
      const_cast<char*>(piece->data()), piece->size(),
      [](void* holder) { delete static_cast<Piece*>(holder); }, new Piece(piece));
}

grpc::ByteBuffer bytes_of(const std::vector<Piece>& pieces) {
  if (pieces.size() == 1) {
    const grpc::Slice slice = slice_of(pieces.front());
    return grpc::ByteBuffer(&slice, 1);
  }
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces.size());
  for (const Piece& piece : pieces) slices.push_back(slice_of(piece));
  return grpc::ByteBuffer(slices.data(), slices.size());
}

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// The methods by path, each with its figures; what all calls of a transport share.
class CallTable {
 public:
  struct Entry {
    const Method* method = nullptr;
    CallSeries* calls = nullptr;
  };
  CallTable(ApiServing api, const GrpcLimits& bounds) : serving(api), limits(bounds) {
    for (const auto& method : serving.api.methods()) {
      const bool stream = method->stream != nullptr;
      entries_["/" + method->name] = {method.get(),
                                      &serving.metrics.series(method->name, "grpc", stream)};
    }
  }
  // The path is "/frameworks.v1.Fleet/Get"; null: no such method.
  [[nodiscard]] const Entry* find(std::string_view path) const {
    const auto at = entries_.find(path);
    return at == entries_.end() ? nullptr : &at->second;
  }

  const ApiServing serving;
  const GrpcLimits limits;
  std::atomic<int> calls{0};  // that are open
  std::atomic<int> streams{0};
  TakenBack taken_back;

 private:
  std::unordered_map<std::string, Entry, TextHash, std::equal_to<>> entries_;
};

// One call of one method of the table. Lives until gRPC says it is done; pokes that come later find
// nobody.
class Call final : public grpc::ServerGenericBidiReactor,
                   public std::enable_shared_from_this<Call> {
 public:
  explicit Call(CallTable& table) : table_(table) {}
  ~Call() override {
    if (counted_ != nullptr) counted_->fetch_sub(1);
  }

  void begin(const grpc::GenericCallbackServerContext& context) {
    self_ = shared_from_this();
    context_ = &context;
    const std::string& path = context.method();
    const CallTable::Entry* entry = table_.find(path);
    if (entry == nullptr) {
      table_.serving.metrics.count_request("unknown", "grpc",
                                           static_cast<int>(Code::kUnimplemented));
      return finish(Error(Code::kUnimplemented, fmt::format("no such method: {}", path)));
    }
    method_ = entry->method;
    calls_ = entry->calls;
    began_ = system_clock().mono();
    calls_->begin();
    const bool stream = method_->stream != nullptr;
    counted_ = stream ? &table_.streams : &table_.calls;
    if (counted_->fetch_add(1) >= (stream ? table_.limits.max_streams : table_.limits.max_calls))
      return finish(Error(Code::kResourceExhausted, "too many calls at once: try again"));
    if (auto allowed = admit(context); !allowed) return finish(std::move(allowed.error()));
    StartRead(&bytes_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return take_back("no request was sent");
    was_read_ = true;
    request_.reset(method_->request->New());
    if (!parse(bytes_, *request_))
      return finish(
          Error(Code::kInvalidArgument, fmt::format("not a {}", method_->request->GetTypeName())));
    bytes_.Clear();
    if (auto own = scope(*method_, caller_, *request_); !own) return finish(std::move(own.error()));
    if (auto good = check_request(*request_); !good) return finish(std::move(good.error()));
    if (method_->ready) return answer_ready();
    if (method_->runs == Runs::kInline && method_->unary) return answer();
    Workers& workers = method_->stream ? table_.serving.streams : table_.serving.workers;
    if (!workers.try_post([self = shared_from_this()] { self->answer(); }))
      finish(Error(Code::kResourceExhausted, "the server is busy: try again"));
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return finish(Error(Code::kCancelled, "the caller went away"));
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
    }
    table_.serving.streams.post([self = shared_from_this()] { self->pump(); });
  }

  void OnCancel() override {
    if (!was_read_) return take_back("cancelled");
    finish(Error(Code::kCancelled, "cancelled"));
  }

  // The stream goes here and not with this object: the last to hold that may be a poke, and a
  // stream must not be destroyed in its own poke.
  void OnDone() override {
    std::unique_ptr<ReplyStream> stream;
    {
      std::lock_guard lock(mutex_);
      stream = std::move(stream_);
    }
    stream.reset();
    self_.reset();
  }

 private:
  // There was no request to read, or the caller did not wait for that.
  void take_back(const char* why) {
    if (!is_taken_back_.exchange(true)) {
      const std::string peer = context_->peer();
      if (table_.taken_back.note(peer, system_clock().mono())) {
        const bool cut = cut_connection(peer_address(peer), peer_port(peer));
        spdlog::warn("gRPC: {}: more than {} requests a second were taken back: {}", peer,
                     TakenBack::kMost, cut ? "the connection is cut" : "it is gone already");
      }
    }
    finish(Error(Code::kCancelled, why));
  }

  Status admit(const grpc::GenericCallbackServerContext& context) {
    const auto& metadata = context.client_metadata();
    const auto header = metadata.find("authorization");
    const std::string_view token =
        header == metadata.end() ? std::string_view()
                                 : std::string_view(header->second.data(), header->second.size());
    // Who shows a token is who the token says: the certificate is not asked for.
    ASSIGN_OR_RETURN(caller_, table_.serving.authentication.identify(
                                  token, token.empty() ? node_of(context) : std::string(),
                                  "grpc " + peer_address(context.peer())));
    return authorize(*method_, caller_);
  }

  void answer_ready() {
    auto ready = method_->ready(caller_, *request_);
    if (!ready) return finish(std::move(ready.error()));
    send_last(bytes_of((*ready)->proto));
  }

  void answer() {
    if (method_->stream) return open_stream();
    std::unique_ptr<Message> response(method_->response->New());
    auto status = method_->unary(caller_, *request_, *response);
    if (!status) return finish(std::move(status.error()));
    send_last(serialize(*response));
  }

  void send_last(grpc::ByteBuffer bytes) {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = true;
    out_ = std::move(bytes);
    count(0, out_.Length());
    StartWriteAndFinish(&out_, {}, grpc::Status::OK);
  }

  void open_stream() {
    auto stream = method_->stream(caller_, *request_, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (self == nullptr || self->poked_.exchange(true)) return;
      self->table_.serving.streams.post([self] { self->pump(); });
    });
    if (!stream) return finish(std::move(stream.error()));
    request_.reset();
    {
      std::lock_guard lock(mutex_);
      if (finished_) return;
      stream_ = std::move(*stream);
    }
    pump();
  }

  // Writes the next answer, unless one is under way.
  void pump() {
    std::lock_guard lock(mutex_);
    if (writing_ || finished_ || stream_ == nullptr) return;
    poked_.store(false);
    std::unique_ptr<Message> response(method_->response->New());
    auto state = stream_->next(*response);
    if (!state) return finish_locked(std::move(state.error()));
    if (*state == ReplyStream::State::kWait) {
      out_.Clear();  // a quiet stream holds nothing
      return;
    }
    if (*state == ReplyStream::State::kEnd) {
      finished_ = true;
      count(0, told_);
      return Finish(grpc::Status::OK);
    }
    writing_ = true;
    out_ = *state == ReplyStream::State::kReady
               ? bytes_of(stream_->ready(ReplyStream::Form::kProto)->proto)
               : serialize(*response);
    told_ += out_.Length();
    StartWrite(&out_);
  }

  void finish(Error error) {
    std::lock_guard lock(mutex_);
    finish_locked(std::move(error));
  }
  void finish_locked(const Error& error) {
    if (finished_) return;
    finished_ = true;
    count(static_cast<int>(error.code()), told_);
    Finish(to_grpc(error));
  }
  void count(int code, uint64_t bytes) {
    if (calls_ != nullptr) calls_->end(code, system_clock().mono() - began_, bytes);
  }

  CallTable& table_;
  const grpc::GenericCallbackServerContext* context_ = nullptr;  // until OnDone()
  std::atomic<bool> was_read_{false};
  std::atomic<bool> is_taken_back_{false};
  const Method* method_ = nullptr;
  CallSeries* calls_ = nullptr;
  std::atomic<int>* counted_ = nullptr;
  MonoTime began_{};
  Caller caller_;
  grpc::ByteBuffer bytes_;
  std::unique_ptr<Message> request_;
  std::atomic<bool> poked_{false};

  std::mutex mutex_;
  grpc::ByteBuffer out_;
  std::unique_ptr<ReplyStream> stream_;
  uint64_t told_ = 0;  // bytes
  bool writing_ = false;
  bool finished_ = false;
  std::shared_ptr<Call> self_;  // gRPC's hold on this object
};

class TableService final : public grpc::CallbackGenericService {
 public:
  TableService(ApiServing serving, const GrpcLimits& limits) : table_(serving, limits) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    auto call = std::make_shared<Call>(table_);
    call->begin(*context);
    return call.get();
  }

 private:
  CallTable table_;
};

class Transport final : public GrpcTransport {
 public:
  Transport(ApiServing serving, const GrpcLimits& limits) : table_(serving, limits) {}
  ~Transport() override {
    if (acceptor_ != nullptr) acceptor_->stop();
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::time_point(
        system_clock().wall() + std::chrono::duration_cast<WallTime::duration>(kStopGrace)));
    server_->Wait();
  }

  Status begin(const std::string& address, const TlsIdentity& identity, grpc::Service& agents,
               const GrpcLimits& limits) {
    // A client without a certificate is let in; one with a certificate must have it from our CA.
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = identity.ca_pem;
    tls.pem_key_cert_pairs.push_back({identity.key_pem, identity.certificate_pem});
    release_quiet_tls_buffers();
    grpc::ServerBuilder builder;
    auto listening = GrpcAcceptor::listen(address, {limits.connections, limits.per_address});
    if (!listening) return listening.error().with_context("gRPC");
    acceptor_ = std::move(*listening);
    using Builder = grpc::ServerBuilder::experimental_type;
    hand_over_ = builder.experimental().AddExternalConnectionAcceptor(
        Builder::ExternalConnectionType::FROM_FD, grpc::SslServerCredentials(tls));
    builder.RegisterService(&agents);
    builder.RegisterCallbackGenericService(&table_);
    builder.SetMaxReceiveMessageSize(limits.max_message_bytes);
    builder.SetResourceQuota(grpc::ResourceQuota("quartermaster").Resize(limits.memory_bytes));
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits.max_metadata_bytes);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.max_streams_per_connection);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);  // nobody can ask for it here
    // What a connection keeps at hand while it is quiet; reads grow with what comes.
    builder.AddChannelArgument(GRPC_ARG_TCP_READ_CHUNK_SIZE, kQuietRead);
    builder.AddChannelArgument(GRPC_ARG_TSI_MAX_FRAME_SIZE, kTlsFrame);
    // Connections of machines that lost power say nothing any more: ask, and forget them.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return Error(Code::kInternal, "gRPC: the server does not start");
    acceptor_->start([this](int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.fd = fd;
      hand_over_->HandleNewConnection(&connection);
    });
    return {};
  }

  int port() const override { return acceptor_->port(); }
  const ConnectionCount& connections() const override { return acceptor_->connections(); }

 private:
  TableService table_;
  std::unique_ptr<GrpcAcceptor> acceptor_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> hand_over_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

std::string node_of(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return {};
  // gRPC gives this property only when the certificate has exactly one URI, and it is well formed.
  const auto values = auth->FindPropertyValues(GRPC_PEER_SPIFFE_ID_PROPERTY_NAME);
  if (values.size() != 1) return {};
  return node_of_identity({values[0].data(), values[0].size()});
}

std::string peer_address(std::string_view peer) {
  // "ipv4:192.0.2.1:4711", "ipv6:%5B2001:db8::1%5D:4711"
  if (!peer.starts_with("ipv4:") && !peer.starts_with("ipv6:")) return std::string(peer);
  std::string out(peer.substr(5, peer.rfind(':') - 5));
  for (const std::string_view bracket : {"%5B", "%5D", "[", "]"})
    if (const size_t at = out.find(bracket); at != std::string::npos) out.erase(at, bracket.size());
  return out;
}

int peer_port(std::string_view peer) {
  int port = 0;
  const std::string_view text = peer.substr(peer.rfind(':') + 1);
  std::from_chars(text.data(), text.data() + text.size(), port);
  return port;
}

Result<std::unique_ptr<GrpcTransport>> GrpcTransport::start(const std::string& address,
                                                            const TlsIdentity& identity,
                                                            ApiServing serving,
                                                            grpc::Service& agents,
                                                            GrpcLimits limits) {
  auto transport = std::make_unique<Transport>(serving, limits);
  RETURN_IF_ERROR(transport->begin(address, identity, agents, limits));
  return std::unique_ptr<GrpcTransport>(std::move(transport));
}

}  // namespace frameworks
