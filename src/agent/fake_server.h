// Quartermaster's side of the agents' protocol, in the test's process: real TLS, scripted answers.
#pragma once

#include <grpc/grpc_security_constants.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "frameworks/v1/agent.grpc.pb.h"
#include "machine/certificates/authority.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

class FakeServer final : public pb::Agents::Service {
 public:
  explicit FakeServer(Clock& clock)
      : authority_(std::move(*Authority::load_or_create(directory_.path(), clock))) {
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    const auto issued = *authority_.issue_server({"quartermaster"}, {"127.0.0.1"});
    tls.pem_root_certs = authority_.certificate_pem();
    tls.pem_key_cert_pairs.push_back({issued.key_pem, issued.certificate_pem});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeServer() override {
    end_session();
    server_->Shutdown(std::chrono::system_clock::time_point::min());
  }

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] const std::string& ca_pem() const { return authority_.certificate_pem(); }

  // Waits until `holds` for what has been received; false after 20 s.
  bool wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), holds);
  }
  void send(pb::ServerMessage message) {
    const std::lock_guard lock(mutex_);
    if (stream_ != nullptr) stream_->Write(message);
  }
  void send_plan(const pb::PlanUpdate& plan) {
    pb::ServerMessage message;
    *message.mutable_plan() = plan;
    send(message);
  }
  // The stream ends as if the server went away.
  void end_session() {
    const std::lock_guard lock(mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }

  // What was received; read them in wait()'s condition, or when nothing more is under way.
  std::vector<pb::JoinRequest> joins;
  std::vector<pb::Hello> hellos;
  std::vector<pb::PlanAck> acks;
  std::vector<pb::CheckReport> checks;
  int heartbeats = 0;
  int renewals = 0;
  std::string identity;  // of the last session's client certificate

 private:
  grpc::Status Join(grpc::ServerContext*, const pb::JoinRequest* request,
                    pb::JoinResponse* response) override {
    {
      const std::lock_guard lock(mutex_);
      joins.push_back(*request);
    }
    changed_.notify_all();
    if (request->token() != "good")
      return {grpc::StatusCode::PERMISSION_DENIED, "join token refused: forged"};
    const auto signed_certificate =
        authority_.sign_node(request->certificate_request(), request->node());
    if (!signed_certificate)
      return {grpc::StatusCode::INVALID_ARGUMENT, signed_certificate.error().message()};
    response->set_certificate(signed_certificate->pem);
    response->set_ca_certificate(authority_.certificate_pem());
    return grpc::Status::OK;
  }

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<pb::ServerMessage, pb::AgentMessage>* stream) override {
    const auto names = context->auth_context()->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME);
    if (names.empty()) return {grpc::StatusCode::UNAUTHENTICATED, "no certificate"};
    {
      const std::lock_guard lock(mutex_);
      identity.assign(names[0].data(), names[0].size());
      stream_ = stream;
      context_ = context;
    }
    pb::AgentMessage message;
    while (stream->Read(&message)) take(message);
    const std::lock_guard lock(mutex_);
    if (stream_ == stream) stream_ = nullptr;
    if (context_ == context) context_ = nullptr;
    return grpc::Status::OK;
  }

  void take(const pb::AgentMessage& message) {
    {
      const std::lock_guard lock(mutex_);
      if (message.has_hello()) {
        hellos.push_back(message.hello());
        pb::ServerMessage welcome;
        welcome.mutable_welcome()->mutable_heartbeat_interval()->set_nanos(100'000'000);
        stream_->Write(welcome);
      }
      if (message.has_ack()) acks.push_back(message.ack());
      if (message.has_check()) checks.push_back(message.check());
      if (message.has_heartbeat()) ++heartbeats;
      if (message.has_renew()) {
        ++renewals;
        pb::ServerMessage renewed;
        renewed.mutable_renewed()->set_certificate(
            authority_.sign_node(message.renew().certificate_request(), "edge-1")->pem);
        stream_->Write(renewed);
      }
    }
    changed_.notify_all();
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  Authority authority_;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  grpc::ServerReaderWriter<pb::ServerMessage, pb::AgentMessage>* stream_ = nullptr;
  grpc::ServerContext* context_ = nullptr;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace frameworks
