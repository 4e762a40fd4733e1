#include "hostd/calls.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include "base/clock.h"
#include "frameworks/v1/hostd.grpc.pb.h"

namespace frameworks::hostd {
namespace {

namespace json = google::protobuf::util;

template <typename Request, typename Response>
Result<std::string> exchange(v1::Hostd::Stub& stub,
                             grpc::Status (v1::Hostd::Stub::*method)(grpc::ClientContext*,
                                                                     const Request&, Response*),
                             const std::string& text, std::chrono::milliseconds timeout) {
  Request request;
  Response response;
  if (const auto parsed = json::JsonStringToMessage(text, &request); !parsed.ok())
    return Error(Code::kInvalidArgument, fmt::format("request: {}", std::string(parsed.message())));
  grpc::ClientContext context;
  context.set_deadline(system_clock().wall() + timeout);
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return Error(static_cast<Code>(status.error_code()), status.error_message());
  std::string out;
  json::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  if (!json::MessageToJsonString(response, &out, options).ok())
    return Error(Code::kInternal, "response cannot be written as JSON");
  return out;
}

}  // namespace

Result<std::string> call(const std::filesystem::path& socket, const std::string& method,
                         const std::string& request, std::chrono::milliseconds timeout) {
  const auto stub = v1::Hostd::NewStub(grpc::CreateChannel(
      "unix:" + std::filesystem::absolute(socket).string(), grpc::InsecureChannelCredentials()));
  using Stub = v1::Hostd::Stub;
  if (method == "EnsureFabric") return exchange(*stub, &Stub::EnsureFabric, request, timeout);
  if (method == "EnsureMachine") return exchange(*stub, &Stub::EnsureMachine, request, timeout);
  if (method == "SetPower") return exchange(*stub, &Stub::SetPower, request, timeout);
  if (method == "DeleteMachine") return exchange(*stub, &Stub::DeleteMachine, request, timeout);
  if (method == "ListMachines") return exchange(*stub, &Stub::ListMachines, request, timeout);
  return Error(
      Code::kInvalidArgument,
      fmt::format("\"{}\": there is no such method; there are EnsureFabric, EnsureMachine, "
                  "SetPower, DeleteMachine, ListMachines",
                  method));
}

}  // namespace frameworks::hostd
