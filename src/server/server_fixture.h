// A whole server in this process, on a state folder of the test's own, and its administrator.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "server/fleet_client.h"
#include "server/quartermaster.h"

namespace frameworks {

class ServerFixture : public ::testing::Test {
 protected:
  ServerFixture() : directory_(std::move(*TemporaryDirectory::make())) {
    options_.state = directory_.path() / "state";
    options_.listen_grpc = options_.listen_rest = "127.0.0.1:0";
    options_.simulated = true;
  }

  // The server anew, on what an earlier one left.
  void start() {
    stop();
    auto server = Quartermaster::start(options_);
    CHECK(server);
    server_ = std::move(*server);
    client_ = std::make_unique<FleetClient>(options_.state, server_->grpc_port());
  }
  void stop() {
    client_.reset();
    server_.reset();
  }

  TemporaryDirectory directory_;
  QuartermasterOptions options_;  // before start()
  std::unique_ptr<Quartermaster> server_;
  std::unique_ptr<FleetClient> client_;
};

}  // namespace frameworks
