#include "machine/provisioning/hostd_machines.h"

#include <grpcpp/grpcpp.h>

#include "base/clock.h"
#include "frameworks/v1/hostd.grpc.pb.h"

namespace frameworks::provisioning {
namespace {

// Calls that wait for no machine; generous, because a busy host forks slowly.
constexpr std::chrono::seconds kShortCall{30};

class HostdMachines final : public Machines {
 public:
  explicit HostdMachines(const std::filesystem::path& socket)
      : stub_(v1::Hostd::NewStub(
            grpc::CreateCustomChannel("unix:" + std::filesystem::absolute(socket).string(),
                                      grpc::InsecureChannelCredentials(), arguments()))) {}

  Result<std::string> ensure_fabric(const v1::EnsureFabricRequest& wanted) override {
    v1::EnsureFabricResponse response;
    RETURN_IF_ERROR(call(&v1::Hostd::Stub::EnsureFabric, wanted, response, kShortCall));
    return response.network_namespace();
  }

  Result<EnsuredMachine> ensure(const v1::MachineSpec& spec,
                                std::chrono::milliseconds patience) override {
    v1::EnsureMachineRequest request;
    v1::EnsureMachineResponse response;
    *request.mutable_spec() = spec;
    RETURN_IF_ERROR(call(&v1::Hostd::Stub::EnsureMachine, request, response, patience));
    return EnsuredMachine{response.machine(), response.created()};
  }

  Result<v1::LocalMachine> set_power(const std::string& name, v1::MachinePower power,
                                     std::chrono::milliseconds patience) override {
    v1::SetMachinePowerRequest request;
    v1::SetMachinePowerResponse response;
    request.set_name(name);
    request.set_power(power);
    RETURN_IF_ERROR(call(&v1::Hostd::Stub::SetPower, request, response, patience));
    return response.machine();
  }

  Status remove(const std::string& name) override {
    v1::DeleteMachineRequest request;
    v1::DeleteMachineResponse response;
    request.set_name(name);
    return call(&v1::Hostd::Stub::DeleteMachine, request, response, kShortCall);
  }

  Result<std::vector<v1::LocalMachine>> list() override {
    v1::ListMachinesResponse response;
    RETURN_IF_ERROR(
        call(&v1::Hostd::Stub::ListMachines, v1::ListMachinesRequest(), response, kShortCall));
    return std::vector<v1::LocalMachine>(response.machines().begin(), response.machines().end());
  }

 private:
  static grpc::ChannelArguments arguments() {
    grpc::ChannelArguments out;
    // A daemon that has been restarted is found again at once, not after gRPC's usual minutes.
    out.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    out.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
    out.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    return out;
  }

  template <typename Request, typename Response>
  Status call(grpc::Status (v1::Hostd::Stub::*method)(grpc::ClientContext*, const Request&,
                                                      Response*),
              const Request& request, Response& response, std::chrono::milliseconds timeout) {
    grpc::ClientContext context;
    context.set_deadline(system_clock().wall() + timeout);
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (status.ok()) return {};
    return Error(static_cast<Code>(status.error_code()), status.error_message());
  }

  std::unique_ptr<v1::Hostd::Stub> stub_;
};

}  // namespace

std::unique_ptr<Machines> connect_hostd(const std::filesystem::path& socket) {
  return std::make_unique<HostdMachines>(socket);
}

}  // namespace frameworks::provisioning
