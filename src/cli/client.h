// The connection to Quartermaster: where it is, TLS, the bearer token, and errors as ours.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "frameworks/v1/fleet_api.grpc.pb.h"
#include "model/kind.h"

namespace frameworks::cli {

// Where the server is and how it knows us. Empty: not told.
struct Profile {
  std::string server;      // "host:port", or several: "host:port,host:port"
  std::string token_file;  // one line
  std::string ca_file;     // PEM
};

// Completes what flags and environment left open from ~/.config/frameworks/profile.json, else from
// /run/frameworks/profile.json ({"server", "tokenFile", "caFile"}).
Result<Profile> find_profile(Profile given);

// ~/.config/frameworks/profile.json; empty when no home is known.
std::filesystem::path own_profile_path();

// Our error for a call's status, with the violations of its details.
Error from_grpc(const grpc::Status& status, const std::string& server);

class Client {
 public:
  static constexpr std::chrono::seconds kTimeout{60};
  enum class As { kAccount, kNobody };  // with the profile's token, or without
  static Result<std::unique_ptr<Client>> connect(const Profile& profile, As as = As::kAccount);

  [[nodiscard]] const std::string& server() const { return server_; }
  [[nodiscard]] pb::Fleet::StubInterface& fleet() { return *fleet_; }
  [[nodiscard]] pb::Machines::StubInterface& machines() { return *machines_; }
  [[nodiscard]] pb::Operations::StubInterface& operations() { return *operations_; }
  [[nodiscard]] pb::Inventory::StubInterface& inventory() { return *inventory_; }

  // Of any other service, e.g. stub<pb::Tenants>().
  template <typename Service>
  [[nodiscard]] std::unique_ptr<typename Service::StubInterface> stub() const {
    return Service::NewStub(channel_);
  }

  // For streams, which have no deadline: adds the token, if there is one.
  void authorize(grpc::ClientContext& context) const;

  // One answer to one question, within `timeout`.
  template <typename Stub, typename Request, typename Response>
  Result<Response> call(Stub& stub,
                        grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const Request& request, std::chrono::seconds timeout = kTimeout) const {
    Response response;
    RETURN_IF_ERROR(ask(stub, method, request, response, timeout));
    return response;
  }
  // The same into a message of the caller's, e.g. on an arena.
  template <typename Stub, typename Request, typename Response>
  Status ask(Stub& stub,
             grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
             const Request& request, Response& response,
             std::chrono::seconds timeout = kTimeout) const {
    grpc::ClientContext context;
    authorize(context);
    context.set_deadline(deadline(timeout));
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return failure(status);
    return {};
  }

 private:
  Client() = default;
  static gpr_timespec deadline(std::chrono::seconds timeout);
  [[nodiscard]] Error failure(const grpc::Status& status) const;

  std::string server_;
  std::string token_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::Fleet::StubInterface> fleet_;
  std::unique_ptr<pb::Machines::StubInterface> machines_;
  std::unique_ptr<pb::Operations::StubInterface> operations_;
  std::unique_ptr<pb::Inventory::StubInterface> inventory_;
};

}  // namespace frameworks::cli
