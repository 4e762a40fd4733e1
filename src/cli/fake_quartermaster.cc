#include <fmt/format.h>
#include <grpcpp/security/server_credentials.h>

#include "cli/fake_quartermaster.h"
#include "machine/certificates/authority.h"
#include "model/pack.h"
#include "model/registry.h"

namespace frameworks::cli {
namespace {

grpc::Status check_token(const grpc::ServerContext& context,
                         const std::string& token = FakeQuartermaster::kToken) {
  const auto found = context.client_metadata().find("authorization");
  const std::string wanted = "Bearer " + token;
  if (found != context.client_metadata().end() &&
      std::string(found->second.data(), found->second.size()) == wanted)
    return grpc::Status::OK;
  return {grpc::StatusCode::UNAUTHENTICATED, "the token is not known"};
}

}  // namespace

FakeQuartermaster::FakeQuartermaster(const std::vector<grpc::Service*>& more)
    : directory_(TemporaryDirectory::make().value()) {
  const auto authority = Authority::load_or_create(directory_.path(), system_clock());
  CHECK(authority.has_value());
  const auto own = authority->issue_server({"quartermaster"}, {"127.0.0.1"});
  CHECK(own.has_value());
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({own->key_pem, own->certificate_pem});
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port);
  builder.RegisterService(static_cast<pb::Fleet::Service*>(this));
  builder.RegisterService(static_cast<pb::Operations::Service*>(this));
  builder.RegisterService(static_cast<pb::Machines::Service*>(this));
  builder.RegisterService(static_cast<pb::Accounts::Service*>(this));
  for (grpc::Service* service : more) builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr);
  profile_ = {.server = fmt::format("127.0.0.1:{}", port),
              .token_file = (directory_.path() / "token").string(),
              .ca_file = (directory_.path() / "ca.pem").string()};
  CHECK(write_file(profile_.token_file, std::string(kToken) + "\n").has_value());
}

void FakeQuartermaster::stop() {
  if (server_ != nullptr) server_->Shutdown();
  server_.reset();
}

grpc::Status FakeQuartermaster::Get(grpc::ServerContext* context, const pb::GetRequest* request,
                                    pb::GetResponse* response) {
  if (const auto status = check_token(*context); !status.ok()) return status;
  const Resource* found = fleet.find({request->kind(), request->tenant(), request->name()});
  if (found == nullptr)
    return {grpc::StatusCode::NOT_FOUND,
            fmt::format("{} \"{}\" does not exist", request->kind(), request->name())};
  *response->mutable_resource() = pack(*found);
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::List(grpc::ServerContext* context, const pb::ListRequest* request,
                                     pb::ListResponse* response) {
  if (const auto status = check_token(*context); !status.ok()) return status;
  // Pages of two, so that the client must turn them.
  constexpr size_t kPage = 2;
  const auto all = fleet.list(*find_kind(request->kind()));
  const size_t begin = request->page_token().empty() ? 0 : std::stoul(request->page_token());
  for (size_t i = begin; i < std::min(begin + kPage, all.size()); ++i)
    *response->add_resources() = pack(all[i]);
  if (begin + kPage < all.size()) response->set_next_page_token(std::to_string(begin + kPage));
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::Apply(grpc::ServerContext* context, const pb::ApplyRequest* request,
                                      pb::ApplyResponse* response) {
  if (const auto status = check_token(*context); !status.ok()) return status;
  last_apply = *request;
  *response = apply_response;
  return apply_status;
}

grpc::Status FakeQuartermaster::Status(grpc::ServerContext* context, const pb::StatusRequest*,
                                       pb::StatusResponse* response) {
  if (const auto status = check_token(*context); !status.ok()) return status;
  *response = status_response;
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::Watch(grpc::ServerContext*,
                                      const pb::WatchOperationRequest* request,
                                      grpc::ServerWriter<pb::WatchOperationResponse>* writer) {
  const bool first = watches++ == 0;
  size_t sent = 0;
  for (const pb::OperationEvent& event : events) {
    if (event.sequence() <= request->after()) continue;
    if (first && break_after != 0 && sent == break_after)
      return {grpc::StatusCode::UNAVAILABLE, "going down"};
    pb::WatchOperationResponse response;
    *response.mutable_event() = event;
    writer->Write(response);
    ++sent;
  }
  pb::WatchOperationResponse last;
  *last.mutable_final() = final_status;
  writer->Write(last);
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::CreateJoinToken(grpc::ServerContext*,
                                                const pb::CreateJoinTokenRequest* request,
                                                pb::CreateJoinTokenResponse* response) {
  response->set_name("jt-" + request->cluster());
  response->set_token("jt-edge.opensesame");
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::ListProviders(grpc::ServerContext* context,
                                              const pb::ListProvidersRequest*,
                                              pb::ListProvidersResponse* response) {
  if (context->client_metadata().contains("authorization"))
    return {grpc::StatusCode::UNAUTHENTICATED, "nobody in particular should ask this"};
  for (const pb::LoginProvider& provider : providers) *response->add_providers() = provider;
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::Login(grpc::ServerContext*, const pb::LoginRequest* request,
                                      pb::CreateTokenResponse* response) {
  if (request->id_token() != kIdToken)
    return {grpc::StatusCode::UNAUTHENTICATED, "the ID token is not good"};
  response->set_name("login-1");
  response->set_token(kLoginToken);
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::WhoAmI(grpc::ServerContext* context, const pb::WhoAmIRequest*,
                                       pb::WhoAmIResponse* response) {
  if (const auto status = check_token(*context, kLoginToken); !status.ok() || revoked)
    return {grpc::StatusCode::UNAUTHENTICATED, "the token was revoked"};
  response->set_account("ada");
  response->set_role(pb::ROLE_OPERATOR);
  response->mutable_expire_time()->set_seconds(1'800'000'000);
  return grpc::Status::OK;
}

grpc::Status FakeQuartermaster::RevokeToken(grpc::ServerContext* context,
                                            const pb::RevokeTokenRequest*,
                                            pb::RevokeTokenResponse*) {
  if (const auto status = check_token(*context, kLoginToken); !status.ok() || revoked)
    return {grpc::StatusCode::UNAUTHENTICATED, "the token was revoked"};
  revoked = true;
  return grpc::Status::OK;
}

}  // namespace frameworks::cli
