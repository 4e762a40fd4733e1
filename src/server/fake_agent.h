// A node for tests of the whole server: joins with the token that the fake configurator left, then
// speaks the agents' protocol over real TLS. Applies nothing; every check passes.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "frameworks/v1/agent.grpc.pb.h"
#include "machine/certificates/authority.h"
#include "model/kind.h"
#include "server/test_client.h"

namespace frameworks {

class FakeAgent {
 public:
  // Starts as soon as <state>/simulated/<node>.token is there.
  FakeAgent(std::filesystem::path state, int port, std::string node)
      : state_(std::move(state)), port_(port), node_(std::move(node)) {
    thread_ = std::jthread([this](std::stop_token stop) { live(stop); });
  }
  ~FakeAgent() {
    thread_.request_stop();
    {
      std::lock_guard lock(mutex_);
      if (context_ != nullptr) context_->TryCancel();
    }
    thread_.join();
  }

  [[nodiscard]] std::string ruleset() const {
    std::lock_guard lock(mutex_);
    return ruleset_;
  }

  // How many sessions it tells of, for each instance that is asked about.
  void set_sessions(int64_t sessions) { sessions_ = sessions; }
  // Whether its node is asked about sessions at all.
  [[nodiscard]] bool is_asked() const {
    std::lock_guard lock(mutex_);
    return !asked_.empty();
  }
  // How many tenants have a place on it.
  [[nodiscard]] int tenants() const { return tenants_; }

  // What it proves with who it is; empty until it has joined.
  [[nodiscard]] KeyAndCertificate identity() const {
    std::lock_guard lock(mutex_);
    return {key_, certificate_};
  }

 private:
  bool join(std::stop_token stop) {
    const auto path = state_ / "simulated" / (node_ + ".token");
    while (!std::filesystem::exists(path))
      if (!system_clock().sleep_for(std::chrono::milliseconds(10), stop)) return false;
    ca_ = *read_file(state_ / "ca.pem");
    const auto key = make_certificate_request();
    pb::JoinRequest request;
    request.set_token(*read_file(path));
    request.set_node(node_);
    request.set_certificate_request(key->request_pem);
    pb::JoinResponse response;
    const auto status =
        unary_call(*test_channel(port_, ca_), "frameworks.v1.Agents/Join", "", request, response);
    EXPECT_TRUE(status.ok()) << node_ << ": " << status.error_message();
    std::lock_guard lock(mutex_);
    key_ = key->key_pem;
    certificate_ = response.certificate();
    return status.ok();
  }

  void live(std::stop_token stop) {
    if (!join(stop)) return;
    grpc::ClientContext context;
    {
      std::lock_guard lock(mutex_);
      context_ = &context;
    }
    const auto stub = pb::Agents::NewStub(test_channel(port_, ca_, key_, certificate_));
    auto stream = stub->Session(&context);
    pb::AgentMessage hello;
    hello.mutable_hello()->set_version("fake");
    hello.mutable_hello()->set_wireguard_public_key(base64_encode(sha256(node_)));
    hello.mutable_hello()->set_wireguard_backend("fake");
    hello.mutable_hello()->set_simulated(true);
    stream->Write(hello);
    std::mutex writing;
    std::jthread heart([&](std::stop_token end) {
      while (system_clock().sleep_for(std::chrono::milliseconds(50), end)) {
        pb::AgentMessage beat;
        beat.mutable_heartbeat();
        {
          std::lock_guard own(mutex_);
          for (const std::string& instance : asked_)
            (*beat.mutable_heartbeat()->mutable_sessions())[instance] = sessions_;
        }
        std::lock_guard lock(writing);
        if (!stream->Write(beat)) return;
      }
    });
    pb::ServerMessage message;
    while (stream->Read(&message)) {
      if (!message.has_plan()) continue;
      std::lock_guard lock(writing);
      answer(*stream, message.plan());
    }
    heart.request_stop();
    heart.join();
    stream->Finish();
    std::lock_guard lock(mutex_);
    context_ = nullptr;
  }

  void answer(grpc::ClientReaderWriter<pb::AgentMessage, pb::ServerMessage>& stream,
              const pb::PlanUpdate& plan) {
    if (plan.has_firewall()) {
      std::lock_guard lock(mutex_);
      ruleset_ = plan.firewall().ruleset();
    }
    if (plan.has_tenancy()) tenants_ = plan.tenancy().tenants_size();
    if (plan.has_checks()) {
      std::lock_guard lock(mutex_);
      asked_.clear();
      for (const auto& instance : plan.checks().instances())
        if (!instance.sessions().empty()) asked_.push_back(instance.instance());
    }
    pb::AgentMessage ack;
    ack.mutable_ack()->set_revision(plan.revision());
    for (const auto& [section, hash] : plan.section_hashes())
      ack.mutable_ack()->add_applied(section);
    stream.Write(ack);
    for (const auto& instance : plan.checks().instances())
      for (const auto& probe : instance.probes()) {
        pb::AgentMessage report;
        report.mutable_check()->set_instance(instance.instance());
        report.mutable_check()->set_check(probe.name());
        report.mutable_check()->set_healthy(true);
        stream.Write(report);
      }
  }

  const std::filesystem::path state_;
  const int port_;
  const std::string node_;
  std::string ca_;
  std::string key_;
  std::string certificate_;
  mutable std::mutex mutex_;
  grpc::ClientContext* context_ = nullptr;
  std::string ruleset_;
  std::vector<std::string> asked_;
  std::atomic<int64_t> sessions_{0};
  std::atomic<int> tenants_{0};
  std::jthread thread_;
};

}  // namespace frameworks
