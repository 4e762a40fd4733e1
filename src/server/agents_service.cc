#include "server/agents_service.h"

#include "frameworks/v1/agent.pb.h"
#include "server/api.h"

namespace frameworks {
namespace {

constexpr std::string_view kJoin = "frameworks.v1.Agents/Join";
constexpr std::string_view kSession = "frameworks.v1.Agents/Session";

Error unreadable(const Message& message) {
  return {Code::kInvalidArgument, "not a " + message.GetTypeName()};
}

bool parse(std::string_view bytes, Message& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// A node's trade of a token for a certificate.
class JoinCall final : public GrpcCall {
 public:
  JoinCall(JoinDesk& desk, Metrics& metrics, std::string_view source)
      : desk_(desk), metrics_(metrics), source_(source) {}

  void on_message(GrpcStream& stream, std::string_view message) override {
    pb::JoinRequest request;
    if (!parse(message, request)) return stream.finish(unreadable(request));
    static const RequestRules rules(*pb::JoinRequest::descriptor());
    if (auto good = rules.check(request); !good) return stream.finish(good);
    desk_.join(request, source_, [handle = stream.handle()](Result<pb::JoinResponse> joined) {
      handle->post([joined = std::move(joined)](GrpcStream& to) {
        if (!joined) return to.finish(joined.error());
        to.send(joined->SerializeAsString());
        to.finish();
      });
    });
  }
  void on_half_close(GrpcStream&) override {}
  void on_end(int code, uint64_t) override { metrics_.count_request(kJoin, "grpc", code); }

 private:
  JoinDesk& desk_;
  Metrics& metrics_;
  const std::string source_;
};

// Binds a call to a node's Session.
class SessionCall final : public GrpcCall {
 public:
  explicit SessionCall(Metrics& metrics) : metrics_(metrics) {}

  Status begin(Sessions& sessions, std::string_view node, GrpcStream& stream) {
    if (node.empty())
      return Error(Code::kUnauthenticated,
                   "a node's stream needs the client certificate that joining gave");
    const auto handle = stream.handle();
    ASSIGN_OR_RETURN(session_,
                     sessions.open(std::string(node), {[handle] { handle->poke(); },
                                                       [handle](const Error& error) {
                                                         handle->post([error](GrpcStream& to) {
                                                           to.finish(error);
                                                         });
                                                       }}));
    return {};
  }

  void on_message(GrpcStream& stream, std::string_view message) override {
    pb::AgentMessage in;
    if (!parse(message, in)) return stream.finish(unreadable(in));
    if (auto taken = session_->receive(in); !taken) stream.finish(taken);
  }
  void on_half_close(GrpcStream& stream) override {
    stream.finish(Error(Code::kCancelled, "the node closed its stream"));
  }
  void on_writable(GrpcStream& stream) override {
    if (session_ == nullptr) return;
    if (const auto message = session_->next()) stream.send(message->SerializeAsString());
  }
  void on_end(int code, uint64_t) override {
    session_.reset();
    metrics_.count_request(kSession, "grpc", code);
  }

 private:
  Metrics& metrics_;
  std::shared_ptr<Session> session_;
};

}  // namespace

bool AgentsService::open(const GrpcHead& head, GrpcStream& stream) {
  const std::string_view method = head.path.substr(std::min<size_t>(1, head.path.size()));
  if (method == kJoin) {
    stream.set_call(std::make_unique<JoinCall>(desk_, metrics_, head.source));
    return true;
  }
  if (method != kSession) return false;
  auto call = std::make_unique<SessionCall>(metrics_);
  SessionCall& it = *call;
  stream.set_call(std::move(call));
  if (auto begun = it.begin(sessions_, head.node, stream); !begun) stream.finish(begun);
  return true;
}

}  // namespace frameworks
