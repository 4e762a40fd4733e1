#include "agent/grpc_probe.h"

#include <fmt/format.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/eventfd.h>

namespace frameworks {
namespace {

constexpr const char* kMethod = "/grpc.health.v1.Health/Check";
constexpr int kMaxAnswer = 4096;
constexpr int kServing = 1;

// Ends with its attempt, on that one's thread, once the call is over. Never on gRPC's: the last
// channel takes gRPC's threads along, and one of them cannot wait for itself.
struct Call {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<grpc::GenericStub> stub;
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
  grpc::Status status;
  Fd over{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  // written when gRPC is through with all of it
};

std::string bytes_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return {};
  std::string out;
  for (const grpc::Slice& slice : slices)
    out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

// What others say goes into messages that must be UTF-8, and bounded.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 200)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

class GrpcAttempt final : public ProbeAttempt {
 public:
  GrpcAttempt(const pb::InstanceChecks::Probe& probe, MonoTime deadline)
      : probe_(probe), deadline_(deadline), call_(std::make_unique<Call>()) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxAnswer);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    call_->channel =
        grpc::CreateCustomChannel(probe_.target(), grpc::InsecureChannelCredentials(), arguments);
    call_->stub = std::make_unique<grpc::GenericStub>(call_->channel);
    const grpc::Slice slice(health_request(probe_.grpc_service()));
    call_->request = grpc::ByteBuffer(&slice, 1);
    call_->stub->UnaryCall(&call_->context, kMethod, grpc::StubOptions(), &call_->request,
                           &call_->response, [call = call_.get()](grpc::Status status) {
                             call->status = std::move(status);
                             eventfd_write(call->over.get(), 1);
                           });
  }
  ~GrpcAttempt() override {
    if (is_over()) return;
    call_->context.TryCancel();  // which needs nobody else's answer
    pollfd over{call_->over.get(), POLLIN, 0};
    while (!is_over()) poll(&over, 1, -1);
  }

  [[nodiscard]] pollfd wants() const override {
    return {done_ ? -1 : call_->over.get(), POLLIN, 0};
  }

  std::optional<ProbeOutcome> step(MonoTime now) override {
    if (!done_ && is_over()) judge();
    if (!done_ && now >= deadline_)
      done_ = {false, fmt::format("{}: no answer of gRPC in time", probe_.target())};
    return done_;
  }

  [[nodiscard]] MonoTime deadline() const override { return deadline_; }

 private:
  bool is_over() {
    eventfd_t count = 0;
    is_over_ = is_over_ || eventfd_read(call_->over.get(), &count) == 0;
    return is_over_;
  }

  void judge() {
    const std::string where =
        probe_.grpc_service().empty()
            ? fmt::format("health of {}", probe_.target())
            : fmt::format("health of {} at {}", probe_.grpc_service(), probe_.target());
    if (!call_->status.ok()) {
      done_ = {false, fmt::format("{}: {}", where, plain(call_->status.error_message()))};
      return;
    }
    const int status = health_status(bytes_of(call_->response));
    static constexpr const char* kWords[] = {"unknown", "serving", "not serving",
                                             "service unknown"};
    const bool is_known = status >= 0 && status < 4;
    done_ = {status == kServing,
             fmt::format("{}: {}", where, is_known ? kWords[status] : "an answer without sense")};
  }

  pb::InstanceChecks::Probe probe_;
  MonoTime deadline_;
  std::unique_ptr<Call> call_;
  bool is_over_ = false;
  std::optional<ProbeOutcome> done_;
};

}  // namespace

std::string health_request(std::string_view service) {
  google::protobuf::UnknownFieldSet fields;
  if (!service.empty()) fields.AddLengthDelimited(1, std::string(service));
  std::string out;
  fields.SerializeToString(&out);
  return out;
}

int health_status(const std::string& answer) {
  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromString(answer)) return -1;
  // What is absent is 0, and the last one counts (protobuf's rules).
  int out = 0;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() != 1) continue;
    if (field.type() != google::protobuf::UnknownField::TYPE_VARINT || field.varint() > 1000)
      return -1;
    out = static_cast<int>(field.varint());
  }
  return out;
}

std::unique_ptr<ProbeAttempt> start_grpc_check(const pb::InstanceChecks::Probe& probe,
                                               MonoTime deadline) {
  return std::make_unique<GrpcAttempt>(probe, deadline);
}

}  // namespace frameworks
