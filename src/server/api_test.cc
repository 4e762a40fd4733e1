#include "server/api.h"

#include <sys/stat.h>

#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "server/api_fixture.h"

namespace frameworks {
namespace {

template <typename Request, typename Response>
void add_echo(Api& api, const char* name) {
  api.add<Request, Response>(name, Runs::kInline,
                             [](const Caller&, const Request&, Response&) -> Status { return {}; });
}

// Counts to the request's `after`, then ends.
class Counting final : public ReplyStream {
 public:
  explicit Counting(int64_t upto) : upto_(upto) {}
  Result<State> next(Message& out) override {
    if (at_ == upto_) return State::kEnd;
    static_cast<pb::WatchOperationResponse&>(out).mutable_event()->set_sequence(++at_);
    return State::kMessage;
  }

 private:
  int64_t at_ = 0;
  int64_t upto_;
};

// Every operator method with a handler that does nothing.
void add_everything(Api& api) {
  add_echo<pb::GetRequest, pb::GetResponse>(api, "frameworks.v1.Fleet/Get");
  add_echo<pb::ListRequest, pb::ListResponse>(api, "frameworks.v1.Fleet/List");
  add_echo<pb::ApplyRequest, pb::ApplyResponse>(api, "frameworks.v1.Fleet/Apply");
  add_echo<pb::DeleteRequest, pb::ApplyResponse>(api, "frameworks.v1.Fleet/Delete");
  add_echo<pb::StatusRequest, pb::StatusResponse>(api, "frameworks.v1.Fleet/Status");
  add_echo<pb::GetTenantContextRequest, pb::TenantContext>(api, "frameworks.v1.Tenants/GetContext");
  add_echo<pb::SetPowerRequest, pb::SetPowerResponse>(api, "frameworks.v1.Machines/SetPower");
  add_echo<pb::CreateJoinTokenRequest, pb::CreateJoinTokenResponse>(
      api, "frameworks.v1.Machines/CreateJoinToken");
  add_echo<pb::CancelOperationRequest, pb::CancelOperationResponse>(
      api, "frameworks.v1.Operations/Cancel");
  add_echo<pb::GetInventoryRequest, pb::GetInventoryResponse>(api, "frameworks.v1.Inventory/Get");
  add_echo<pb::ExportInventoryRequest, pb::ExportInventoryResponse>(
      api, "frameworks.v1.Inventory/Export");
  api.add_stream<pb::WatchRequest, pb::WatchEvent>(
      "frameworks.v1.Fleet/Watch",
      [](const Caller&, const pb::WatchRequest&, Poke) -> Result<std::unique_ptr<ReplyStream>> {
        return Error(Code::kAborted, "reached");
      });
  api.add_stream<pb::WatchOperationRequest, pb::WatchOperationResponse>(
      "frameworks.v1.Operations/Watch",
      [](const Caller&, const pb::WatchOperationRequest& request,
         Poke) -> Result<std::unique_ptr<ReplyStream>> {
        return std::unique_ptr<ReplyStream>(std::make_unique<Counting>(request.after()));
      });
}

class ApiTest : public ApiFixture {
 protected:
  ApiTest() { add_everything(api_); }
};

TEST_F(ApiTest, ServesEveryOperatorMethodOfTheContract) {
  const auto* file = pb::GetRequest::descriptor()->file();
  for (int s = 0; s < file->service_count(); ++s)
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const auto* method = file->service(s)->method(m);
      EXPECT_NE(api_.find(file->service(s)->full_name() + "/" + method->name()), nullptr)
          << method->full_name();
      EXPECT_NE(method->options().GetExtension(pb::access), pb::ACCESS_NOBODY)
          << method->full_name();
    }
}

// What a role gets: served (also: the request's fields were looked at), or refused with a code.
grpc::StatusCode expected(const Method& method, pb::Access role) {
  if (role == pb::ACCESS_ANYBODY) return grpc::StatusCode::UNAUTHENTICATED;
  const bool allowed = role != pb::ACCESS_NODE && role >= method.access;
  return allowed ? grpc::StatusCode::OK : grpc::StatusCode::PERMISSION_DENIED;
}

bool was_let_in(grpc::StatusCode code) {
  return code == grpc::StatusCode::OK || code == grpc::StatusCode::INVALID_ARGUMENT ||
         code == grpc::StatusCode::ABORTED;
}

TEST_F(ApiTest, EveryMethodIsOpenToItsRolesAndNobodyElse) {
  serve();
  struct Who {
    pb::Access role;
    std::string token;
    std::shared_ptr<grpc::Channel> channel;
  };
  const std::vector<Who> callers{{pb::ACCESS_ANYBODY, "", channel_},
                                 {pb::ACCESS_NODE, "", node_channel("core-1")},
                                 {pb::ACCESS_VIEWER, kViewerToken, channel_},
                                 {pb::ACCESS_OPERATOR, kOperatorToken, channel_},
                                 {pb::ACCESS_ADMIN, kAdminToken, channel_}};
  for (const auto& method : api_.methods())
    for (const Who& who : callers) {
      std::unique_ptr<Message> request(method->request->New());
      std::unique_ptr<Message> response(method->response->New());
      const auto status = unary_call<google::protobuf::MessageLite, google::protobuf::MessageLite>(
          *who.channel, method->name, who.token, *request, *response);
      const auto want = expected(*method, who.role);
      if (want == grpc::StatusCode::OK)
        EXPECT_TRUE(was_let_in(status.error_code()))
            << method->name << " as " << pb::Access_Name(who.role) << ": "
            << status.error_message();
      else
        EXPECT_EQ(status.error_code(), want) << method->name << " as " << pb::Access_Name(who.role)
                                             << ": " << status.error_message();
    }
}

TEST_F(ApiFixture, TellsHandlersWhereACallComesFrom) {
  std::string source;
  api_.add<pb::GetRequest, pb::GetResponse>(
      "frameworks.v1.Fleet/Get", Runs::kInline,
      [&source](const Caller& caller, const auto&, auto&) -> Status {
        source = caller.source;
        return {};
      });
  serve();
  const auto status = get_node("n");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(source, "grpc 127.0.0.1");
}

TEST_F(ApiTest, RefusesAWrongTokenAlsoWithAGoodCertificate) {
  serve();
  pb::StatusResponse response;
  for (const auto& channel : {channel_, node_channel("core-1")}) {
    const auto status =
        unary_call(*channel, "frameworks.v1.Fleet/Status", "wrong", pb::StatusRequest(), response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_NE(status.error_message().find("admin.token"), std::string::npos);
  }
}

TEST_F(ApiTest, RefusesACertificateOfAnotherAuthority) {
  serve();
  const auto other = TemporaryDirectory::make();
  const auto foreign = Authority::load_or_create(other->path(), system_clock());
  const auto request = make_certificate_request();
  const auto issued = foreign->sign_node(request->request_pem, "core-1");
  const auto channel =
      test_channel(grpc_->port(), authority_.certificate_pem(), request->key_pem, issued->pem);
  pb::StatusResponse response;
  EXPECT_EQ(
      unary_call(*channel, "frameworks.v1.Fleet/Status", kAdminToken, pb::StatusRequest(), response)
          .error_code(),
      grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ApiTest, TellsEveryViolationOfARequestInTheDetails) {
  serve();
  pb::ListRequest request;
  request.set_page_size(5000);
  pb::ListResponse response;
  const auto status =
      unary_call(*channel_, "frameworks.v1.Fleet/List", kViewerToken, request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  pb::Violations violations;
  ASSERT_TRUE(violations.ParseFromString(status.error_details()));
  ASSERT_EQ(violations.violations_size(), 2);
  EXPECT_EQ(violations.violations(0).field(), "kind");
  EXPECT_EQ(violations.violations(1).field(), "pageSize");
}

TEST_F(ApiFixture, TellsAsManyViolationsAsAnyClientTakes) {
  api_.add<pb::GetRequest, pb::GetResponse>(
      "frameworks.v1.Fleet/Get", Runs::kInline,
      [](const Caller&, const auto& request, auto&) -> Status {
        if (request.name() == "long")
          return Error::invalid({{{}, 0, "", "name", std::string(20'000, 'x')}});
        std::vector<Violation> many;
        for (int i = 0; i < 500; ++i)
          many.push_back({"fleet.yaml", i + 1, "Node/n" + std::to_string(i), "spec.cluster",
                          "Cluster \"nöthere\" does not exist"});
        return Error::invalid(std::move(many));
      });
  serve();
  for (const char* name : {"many", "long"}) {
    const auto status = get_node(name);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    pb::Violations violations;
    ASSERT_TRUE(violations.ParseFromString(status.error_details()));
    const auto& last = *violations.violations().rbegin();
    EXPECT_TRUE(last.message().starts_with("and ")) << last.message();
    if (std::string_view(name) == "many") {
      EXPECT_EQ(status.error_message(), "500 violations");
      EXPECT_GT(violations.violations_size(), 20);
    }
  }
}

TEST_F(ApiTest, SaysSoWhenThereIsNoSuchMethod) {
  serve();
  pb::StatusResponse response;
  EXPECT_EQ(unary_call(*channel_, "frameworks.v1.Fleet/Nonsense", kAdminToken, pb::StatusRequest(),
                       response)
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ApiTest, ATooLargeRequestIsRefused) {
  GrpcLimits limits;
  limits.max_message_bytes = 10'000;
  serve({}, limits);
  pb::GetRequest request;
  request.set_kind(std::string(20'000, 'x'));
  pb::GetResponse response;
  EXPECT_EQ(
      unary_call(*channel_, "frameworks.v1.Fleet/Get", kAdminToken, request, response).error_code(),
      grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ApiTest, StreamsEveryAnswerInOrderToItsEnd) {
  serve();
  grpc::ClientContext context;
  authorize_call(context, kViewerToken);
  pb::WatchOperationRequest request;
  request.set_operation("a");
  request.set_after(2000);
  const auto reader = open_stream<pb::WatchOperationResponse>(
      *channel_, "frameworks.v1.Operations/Watch", context, request);
  pb::WatchOperationResponse response;
  int64_t count = 0;
  while (reader->Read(&response)) EXPECT_EQ(response.event().sequence(), ++count);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(count, 2000);
}

TEST_F(ApiTest, TwoServersCannotShareAPort) {
  serve();
  const auto server = *authority_.issue_server({"localhost"}, {});
  const auto second =
      GrpcServer::start("127.0.0.1:" + std::to_string(grpc_->port()),
                        {server.key_pem, server.certificate_pem, authority_.certificate_pem()},
                        {api_, authentication_, workers_, streams_, metrics_}, nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
}

TEST_F(ApiTest, TheFirstTokenIsForTheStateFoldersOwnerOnlyAndStays) {
  const auto path = directory_.path() / "admin.token";
  const std::string first = *read_file(path);
  ASSERT_TRUE(Authentication::load_or_create(directory_.path()));
  EXPECT_EQ(*read_file(path), first);
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace frameworks
