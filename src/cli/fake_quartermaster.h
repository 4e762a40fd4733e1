// A server for tests of the command line: the real transport, TLS and token, and a fleet in memory.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/client.h"
#include "frameworks/v1/fleet_api.grpc.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "model/snapshot.h"

namespace frameworks::cli {

class FakeQuartermaster final : public pb::Fleet::Service,
                                public pb::Operations::Service,
                                public pb::Machines::Service {
 public:
  static constexpr const char* kToken = "right";

  FakeQuartermaster();
  ~FakeQuartermaster() override { stop(); }
  void stop();

  // For --server, --token-file and --ca-file.
  [[nodiscard]] const Profile& profile() const { return profile_; }

  // Set before the calls.
  Snapshot fleet;
  pb::ApplyResponse apply_response;
  grpc::Status apply_status;
  std::vector<pb::OperationEvent> events;
  pb::OperationStatus final_status;
  // The stream of the operation breaks after so many events, once; 0: never.
  size_t break_after = 0;

  // Seen.
  pb::ApplyRequest last_apply;
  std::atomic<int> watches{0};

  grpc::Status Get(grpc::ServerContext* context, const pb::GetRequest* request,
                   pb::GetResponse* response) override;
  grpc::Status List(grpc::ServerContext* context, const pb::ListRequest* request,
                    pb::ListResponse* response) override;
  grpc::Status Apply(grpc::ServerContext* context, const pb::ApplyRequest* request,
                     pb::ApplyResponse* response) override;
  grpc::Status Watch(grpc::ServerContext* context, const pb::WatchOperationRequest* request,
                     grpc::ServerWriter<pb::WatchOperationResponse>* writer) override;
  grpc::Status CreateJoinToken(grpc::ServerContext* context,
                               const pb::CreateJoinTokenRequest* request,
                               pb::CreateJoinTokenResponse* response) override;

 private:
  TemporaryDirectory directory_;
  Profile profile_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace frameworks::cli
