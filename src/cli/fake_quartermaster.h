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
#include "frameworks/v1/access_api.grpc.pb.h"
#include "frameworks/v1/fleet_api.grpc.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "model/snapshot.h"

namespace frameworks::cli {

class FakeQuartermaster final : public pb::Fleet::Service,
                                public pb::Operations::Service,
                                public pb::Machines::Service,
                                public pb::Accounts::Service {
 public:
  static constexpr const char* kToken = "right";
  // What a log-in with kIdToken gives; good until it is revoked.
  static constexpr const char* kIdToken = "good.id.token";
  static constexpr const char* kLoginToken = "fwt_login-1_geheim";

  // `more`: other services, which outlive it.
  explicit FakeQuartermaster(const std::vector<grpc::Service*>& more = {});
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
  std::vector<pb::LoginProvider> providers;
  pb::StatusResponse status_response;

  // Seen.
  pb::ApplyRequest last_apply;
  std::atomic<int> watches{0};
  std::atomic<bool> revoked{false};

  grpc::Status Get(grpc::ServerContext* context, const pb::GetRequest* request,
                   pb::GetResponse* response) override;
  grpc::Status List(grpc::ServerContext* context, const pb::ListRequest* request,
                    pb::ListResponse* response) override;
  grpc::Status Apply(grpc::ServerContext* context, const pb::ApplyRequest* request,
                     pb::ApplyResponse* response) override;
  grpc::Status Status(grpc::ServerContext* context, const pb::StatusRequest* request,
                      pb::StatusResponse* response) override;
  using pb::Fleet::Service::Watch;
  grpc::Status Watch(grpc::ServerContext* context, const pb::WatchOperationRequest* request,
                     grpc::ServerWriter<pb::WatchOperationResponse>* writer) override;
  grpc::Status CreateJoinToken(grpc::ServerContext* context,
                               const pb::CreateJoinTokenRequest* request,
                               pb::CreateJoinTokenResponse* response) override;
  grpc::Status ListProviders(grpc::ServerContext* context, const pb::ListProvidersRequest* request,
                             pb::ListProvidersResponse* response) override;
  grpc::Status Login(grpc::ServerContext* context, const pb::LoginRequest* request,
                     pb::CreateTokenResponse* response) override;
  grpc::Status WhoAmI(grpc::ServerContext* context, const pb::WhoAmIRequest* request,
                      pb::WhoAmIResponse* response) override;
  grpc::Status RevokeToken(grpc::ServerContext* context, const pb::RevokeTokenRequest* request,
                           pb::RevokeTokenResponse* response) override;

 private:
  TemporaryDirectory directory_;
  Profile profile_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace frameworks::cli
