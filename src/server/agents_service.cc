#include "server/agents_service.h"

#include <fmt/format.h>

#include <mutex>

#include "base/log.h"
#include "server/api.h"
#include "server/grpc_status.h"
#include "server/grpc_transport.h"

namespace frameworks {
namespace {

constexpr const char* kJoin = "frameworks.v1.Agents/Join";
constexpr const char* kSession = "frameworks.v1.Agents/Session";

// Binds gRPC's reactor to a Session: one write under way, reads one after the other.
class AgentStream final : public grpc::ServerBidiReactor<pb::AgentMessage, pb::ServerMessage>,
                          public std::enable_shared_from_this<AgentStream> {
 public:
  explicit AgentStream(Metrics& metrics) : metrics_(metrics) {}

  void begin(Sessions& sessions, const std::string& node) {
    self_ = shared_from_this();
    if (node.empty())
      return finish(Error(Code::kUnauthenticated,
                          "a node's stream needs the client certificate that joining gave"));
    const std::weak_ptr<AgentStream> weak = weak_from_this();
    auto session = sessions.open(node, {[weak] {
                                          if (auto self = weak.lock()) self->pump();
                                        },
                                        [weak](const Error& error) {
                                          if (auto self = weak.lock()) self->finish(error);
                                        }});
    if (!session) return finish(session.error());
    {
      std::lock_guard lock(mutex_);
      session_ = std::move(*session);
    }
    StartRead(&in_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return finish(Error(Code::kCancelled, "the node closed its stream"));
    const auto session = current();
    if (session == nullptr) return;
    if (auto status = session->receive(in_); !status) return finish(status.error());
    std::lock_guard lock(mutex_);
    if (!finished_) StartRead(&in_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return finish(Error(Code::kCancelled, "the node went away"));
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      out_.Clear();  // a quiet node's last plan is nobody's any more
    }
    pump();
  }

  void OnCancel() override { finish(Error(Code::kCancelled, "the node went away")); }
  void OnDone() override { self_.reset(); }

 private:
  std::shared_ptr<Session> current() {
    std::lock_guard lock(mutex_);
    return session_;
  }

  void pump() {
    std::lock_guard lock(mutex_);
    if (writing_ || finished_ || session_ == nullptr) return;
    auto message = session_->next();
    if (!message) return;
    writing_ = true;
    out_ = std::move(*message);
    StartWrite(&out_);
  }

  void finish(const Error& error) {
    std::shared_ptr<Session> session;  // ends outside the lock
    std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = true;
    session = std::move(session_);
    metrics_.count_request(kSession, "grpc", static_cast<int>(error.code()));
    Finish(to_grpc(error));
  }

  Metrics& metrics_;
  pb::AgentMessage in_;
  std::mutex mutex_;
  pb::ServerMessage out_;
  std::shared_ptr<Session> session_;
  bool writing_ = false;
  bool finished_ = false;
  std::shared_ptr<AgentStream> self_;  // gRPC's hold on this object
};

// A call that ended before it began.
class Refused final : public grpc::ServerUnaryReactor {
 public:
  explicit Refused(const Error& error) { Finish(to_grpc(error)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerUnaryReactor* AgentsService::Join(grpc::CallbackServerContext* context,
                                              const pb::JoinRequest* request,
                                              pb::JoinResponse* response) {
  if (auto good = check_request(*request); !good) {
    metrics_.count_request(kJoin, "grpc", static_cast<int>(good.error().code()));
    return new Refused(good.error());
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  desk_.join(*request, context->peer(),
             [reactor, response, &metrics = metrics_](Result<pb::JoinResponse> joined) {
               metrics.count_request(kJoin, "grpc",
                                     joined ? 0 : static_cast<int>(joined.error().code()));
               if (!joined) return reactor->Finish(to_grpc(joined.error()));
               *response = std::move(*joined);
               reactor->Finish(grpc::Status::OK);
             });
  return reactor;
}

grpc::ServerBidiReactor<pb::AgentMessage, pb::ServerMessage>* AgentsService::Session(
    grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<AgentStream>(metrics_);
  stream->begin(sessions_, node_of(*context));
  return stream.get();
}

}  // namespace frameworks
