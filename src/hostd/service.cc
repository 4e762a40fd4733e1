#include "hostd/service.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "frameworks/v1/hostd.grpc.pb.h"

namespace frameworks::hostd {
namespace {

grpc::Status to_grpc(const Error& error) {
  return {static_cast<grpc::StatusCode>(error.code()), error.text()};
}

template <typename T, typename Use>
grpc::Status answer(const char* call, const Result<T>& result, Use&& use) {
  if (!result) {
    spdlog::warn("{}: {}", call, result.error().text());
    return to_grpc(result.error());
  }
  use(*result);
  return grpc::Status::OK;
}

Patience patience_of(grpc::ServerContext& context) {
  const auto now = system_clock().wall();
  auto left = std::min<std::chrono::system_clock::duration>(context.deadline() - now,
                                                            std::chrono::hours(1));
  if (context.deadline() == std::chrono::system_clock::time_point::max())
    left = Service::kDefaultPatience;
  // A little less than the caller's own, so that it gets the reason and not just "too late".
  left -= std::min<std::chrono::system_clock::duration>(left / 10, std::chrono::milliseconds(200));
  return {system_clock().mono() + left, [&context] { return context.IsCancelled(); }};
}

}  // namespace

class Service::Calls final : public v1::Hostd::Service {
 public:
  explicit Calls(Host& host) : host_(host) {}

  grpc::Status EnsureFabric(grpc::ServerContext*, const v1::EnsureFabricRequest* request,
                            v1::EnsureFabricResponse* response) override {
    return answer("ensure fabric", host_.ensure_fabric(*request),
                  [&](const auto& made) { *response = made; });
  }
  grpc::Status EnsureMachine(grpc::ServerContext* context, const v1::EnsureMachineRequest* request,
                             v1::EnsureMachineResponse* response) override {
    return answer("ensure machine", host_.ensure_machine(request->spec(), patience_of(*context)),
                  [&](const auto& made) { *response = made; });
  }
  grpc::Status SetPower(grpc::ServerContext* context, const v1::SetMachinePowerRequest* request,
                        v1::SetMachinePowerResponse* response) override {
    return answer("set power",
                  host_.set_power(request->name(), request->power(), patience_of(*context)),
                  [&](const auto& machine) { *response->mutable_machine() = machine; });
  }
  grpc::Status DeleteMachine(grpc::ServerContext*, const v1::DeleteMachineRequest* request,
                             v1::DeleteMachineResponse*) override {
    const frameworks::Status removed = host_.remove_machine(request->name());
    return removed ? grpc::Status::OK : to_grpc(removed.error());
  }
  grpc::Status ListMachines(grpc::ServerContext*, const v1::ListMachinesRequest*,
                            v1::ListMachinesResponse* response) override {
    return answer("list machines", host_.list_machines(), [&](const auto& machines) {
      for (const v1::LocalMachine& machine : machines) *response->add_machines() = machine;
    });
  }

 private:
  Host& host_;
};

Service::Service(Host& host) : calls_(std::make_unique<Calls>(host)) {}
Service::~Service() { stop(); }

Status Service::start(const std::filesystem::path& socket) {
  if (socket.string().size() >= sizeof(sockaddr_un::sun_path))
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: a socket's path has at most {} characters", socket.string(),
                             sizeof(sockaddr_un::sun_path) - 1));
  std::error_code ignored;
  std::filesystem::create_directories(socket.parent_path(), ignored);
  std::filesystem::remove(socket, ignored);
  // Made with the right mode, not corrected afterwards.
  const mode_t before = umask(0177);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("unix:" + socket.string(), grpc::InsecureServerCredentials(), &bound);
  builder.RegisterService(calls_.get());
  server_ = builder.BuildAndStart();
  umask(before);
  if (!server_ || bound == 0)
    return Error(Code::kInternal, fmt::format("cannot listen on {}", socket.string()));
  return {};
}

void Service::stop() {
  if (!server_) return;
  server_->Shutdown(system_clock().wall() + std::chrono::milliseconds(300));
  server_->Wait();
  server_.reset();
}

}  // namespace frameworks::hostd
