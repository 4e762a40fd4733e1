#include "server/api.h"
#include "frameworks/v1/tenants_api.pb.h"

#include <sys/stat.h>

#include <mutex>
#include <thread>

#include "frameworks/v1/fleet_api.pb.h"
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
  pb::GetRequest request;
  request.set_kind("node");
  request.set_name("n");
  pb::GetResponse response;
  const auto status =
      unary_call(*channel_, "frameworks.v1.Fleet/Get", kViewerToken, request, response);
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
    pb::GetRequest request;
    request.set_kind("node");
    request.set_name(name);
    pb::GetResponse response;
    const auto status =
        unary_call(*channel_, "frameworks.v1.Fleet/Get", kViewerToken, request, response);
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
  const grpc::internal::RpcMethod rpc("/frameworks.v1.Operations/Watch",
                                      grpc::internal::RpcMethod::SERVER_STREAMING);
  std::unique_ptr<grpc::ClientReader<pb::WatchOperationResponse>> reader(
      grpc::internal::ClientReaderFactory<pb::WatchOperationResponse>::Create(channel_.get(), rpc,
                                                                              &context, request));
  pb::WatchOperationResponse response;
  int64_t count = 0;
  while (reader->Read(&response)) EXPECT_EQ(response.event().sequence(), ++count);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(count, 2000);
}

// Pokes everybody all the time, under a lock, as the store's and the operations' watchers do.
class Poker {
 public:
  std::shared_ptr<Poke> add(Poke poke) {
    std::lock_guard lock(mutex_);
    pokes_.push_back(std::make_shared<Poke>(std::move(poke)));
    return pokes_.back();
  }
  // Waits for a poke that is under way: destroying a stream in its own poke would never end.
  void remove(const std::shared_ptr<Poke>& poke) {
    std::lock_guard lock(mutex_);
    std::erase(pokes_, poke);
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Poke>> pokes_;
  std::jthread thread_{[this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::lock_guard lock(mutex_);
      for (const auto& poke : pokes_) (*poke)();
    }
  }};
};

// Says one thing, and ends.
class Poked final : public ReplyStream {
 public:
  Poked(Poker& poker, Poke poke) : poker_(poker), poke_(poker.add(std::move(poke))) {}
  ~Poked() override { poker_.remove(poke_); }
  Result<State> next(Message&) override { return told_++ == 0 ? State::kMessage : State::kEnd; }

 private:
  Poker& poker_;
  std::shared_ptr<Poke> poke_;
  int told_ = 0;
};

class PokedTest : public ApiFixture {
 protected:
  PokedTest() {
    api_.add_stream<pb::WatchRequest, pb::WatchEvent>(
        "frameworks.v1.Fleet/Watch",
        [this](const Caller&, const pb::WatchRequest&,
               Poke poke) -> Result<std::unique_ptr<ReplyStream>> {
          return std::unique_ptr<ReplyStream>(std::make_unique<Poked>(poker_, std::move(poke)));
        });
  }
  ~PokedTest() override {
    workers_.stop();
    streams_.stop();
    rest_.reset();
    grpc_.reset();
  }
  Poker poker_;
};

TEST_F(PokedTest, AStreamThatEndsWhileItIsPokedIsNotDestroyedByItsPoke) {
  serve();
  for (int i = 0; i < 200; ++i) {
    grpc::ClientContext context;
    authorize_call(context, kViewerToken);
    const grpc::internal::RpcMethod rpc("/frameworks.v1.Fleet/Watch",
                                        grpc::internal::RpcMethod::SERVER_STREAMING);
    std::unique_ptr<grpc::ClientReader<pb::WatchEvent>> reader(
        grpc::internal::ClientReaderFactory<pb::WatchEvent>::Create(channel_.get(), rpc, &context,
                                                                    pb::WatchRequest()));
    pb::WatchEvent event;
    ASSERT_TRUE(reader->Read(&event));
    EXPECT_FALSE(reader->Read(&event));
    EXPECT_TRUE(reader->Finish().ok());
  }
  for (int i = 0; i < 50; ++i) {
    HttpClient client(rest_->port());
    client.send(std::string("GET /v1/watch HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ") +
                kViewerToken + "\r\n\r\n");
    EXPECT_NE(client.read_all().find("event: end"), std::string::npos);
  }
}

// Holds every stream until it is told to end.
class Held final : public ReplyStream {
 public:
  Result<State> next(Message&) override { return told_++ == 0 ? State::kReady : State::kWait; }
  Ready ready(Form form) override {
    EXPECT_EQ(form, Form::kProto);
    pb::WatchEvent event;
    event.set_revision(7);
    ReadyAnswer answer;
    answer.proto = {piece_of(event.SerializeAsString())};
    return std::make_shared<const ReadyAnswer>(std::move(answer));
  }

 private:
  int told_ = 0;
};

class ReadyTest : public ApiFixture {
 protected:
  ReadyTest() {
    api_.add_ready<pb::GetTenantContextRequest, pb::TenantContext>(
        "frameworks.v1.Tenants/GetContext",
        [this](const Caller&, const auto& request) -> Result<Ready> {
          if (request.tenant() != "acme") return Error(Code::kNotFound, "nobody");
          return answer_;
        });
    api_.add<pb::ListRequest, pb::ListResponse>(
        "frameworks.v1.Fleet/List", Runs::kWorker,
        [](const Caller&, const auto&, auto&) -> Status { return {}; });
    api_.add_stream<pb::WatchRequest, pb::WatchEvent>(
        "frameworks.v1.Fleet/Watch",
        [](const Caller&, const pb::WatchRequest&, Poke) -> Result<std::unique_ptr<ReplyStream>> {
          return std::unique_ptr<ReplyStream>(std::make_unique<Held>());
        });
  }
  Ready answer_;
};

TEST_F(ReadyTest, GrpcSendsThePiecesOfAnAnswerAsTheyAre) {
  pb::TenantContext own;
  own.set_tenant("acme");
  pb::TenantContext shared;
  for (int i = 0; i < 100; ++i) shared.add_endpoints()->set_url(fmt::format("rtmp://host-{}/", i));
  ReadyAnswer answer;
  answer.proto = {piece_of(own.SerializeAsString()), piece_of(shared.SerializeAsString())};
  answer_ = std::make_shared<const ReadyAnswer>(std::move(answer));
  serve();
  for (int i = 0; i < 20; ++i) {
    pb::GetTenantContextRequest request;
    request.set_tenant("acme");
    pb::TenantContext response;
    ASSERT_TRUE(
        unary_call(*channel_, "frameworks.v1.Tenants/GetContext", kViewerToken, request, response)
            .ok());
    own.MergeFrom(shared);
    EXPECT_EQ(response.DebugString(), own.DebugString());
    own.clear_endpoints();
    request.set_tenant("other");
    EXPECT_EQ(
        unary_call(*channel_, "frameworks.v1.Tenants/GetContext", kViewerToken, request, response)
            .error_code(),
        grpc::StatusCode::NOT_FOUND);
  }
  // gRPC lets go of what it sent in its own time.
  const auto deadline = system_clock().mono() + std::chrono::seconds(20);
  while (answer_->proto[1].use_count() > 1 && system_clock().mono() < deadline)
    system_clock().sleep_for(std::chrono::milliseconds(5), {});
  EXPECT_EQ(answer_->proto[1].use_count(), 1);
  const auto values = metrics_.series("frameworks.v1.Tenants/GetContext", "grpc").read();
  EXPECT_EQ(values.codes[0], 20u);
  EXPECT_EQ(values.codes[5], 20u);
  EXPECT_GT(values.seconds, 0);
  EXPECT_GT(values.bytes, 20 * shared.ByteSizeLong());
  EXPECT_EQ(values.open, 0u);
}

TEST_F(ReadyTest, RestTellsHowLongACallTookThatIsAnsweredAtOnce) {
  answer_ = std::make_shared<const ReadyAnswer>(ReadyAnswer{{}, {piece_of("{}")}});
  serve();
  HttpClient client(rest_->port());
  client.send(
      std::string("GET /v1/tenants/acme/context HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                  "Authorization: Bearer ") +
      kViewerToken + "\r\n\r\n");
  EXPECT_NE(client.read_all().find("200 OK"), std::string::npos);
  EXPECT_GT(metrics_.series("frameworks.v1.Tenants/GetContext", "rest").read().seconds, 0);
}

TEST_F(ReadyTest, ManyStreamsLeaveRoomForCallsAndAreBoundedByThemselves) {
  serve({}, {.max_calls = 2, .max_streams = 300});
  const grpc::internal::RpcMethod rpc("/frameworks.v1.Fleet/Watch",
                                      grpc::internal::RpcMethod::SERVER_STREAMING);
  using Reader = std::unique_ptr<grpc::ClientReader<pb::WatchEvent>>;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<Reader> readers;
  const auto open = [&] {
    if (readers.size() % 100 == 0)
      channels.push_back(test_channel(grpc_->port(), authority_.certificate_pem()));
    auto& context = *contexts.emplace_back(std::make_unique<grpc::ClientContext>());
    authorize_call(context, kViewerToken);
    readers.emplace_back(grpc::internal::ClientReaderFactory<pb::WatchEvent>::Create(
        channels.back().get(), rpc, &context, pb::WatchRequest()));
  };
  for (int i = 0; i < 300; ++i) open();
  for (Reader& reader : readers) {
    pb::WatchEvent event;
    ASSERT_TRUE(reader->Read(&event)) << reader->Finish().error_message();
    EXPECT_EQ(event.revision(), 7);
  }
  pb::ListRequest request;
  request.set_kind("nodes");
  pb::ListResponse response;
  const auto listed =
      unary_call(*channel_, "frameworks.v1.Fleet/List", kViewerToken, request, response);
  EXPECT_TRUE(listed.ok()) << listed.error_message();
  open();
  pb::WatchEvent event;
  EXPECT_FALSE(readers.back()->Read(&event));
  EXPECT_EQ(readers.back()->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (auto& context : contexts) context->TryCancel();
  for (size_t i = 0; i + 1 < readers.size(); ++i) readers[i]->Finish();
}

// Says much, and does not end.
class Endless final : public ReplyStream {
 public:
  Result<State> next(Message& out) override {
    static_cast<pb::WatchEvent&>(out).mutable_resource()->set_type_url(std::string(10'000, 'x'));
    return State::kMessage;
  }
};

TEST_F(ApiFixture, AStreamThatIsNotReadIsLetGoAndItsConnectionGoesOn) {
  api_.add_stream<pb::WatchRequest, pb::WatchEvent>(
      "frameworks.v1.Fleet/Watch",
      [](const Caller&, const pb::WatchRequest&, Poke) -> Result<std::unique_ptr<ReplyStream>> {
        return std::unique_ptr<ReplyStream>(std::make_unique<Endless>());
      });
  api_.add<pb::GetRequest, pb::GetResponse>(
      "frameworks.v1.Fleet/Get", Runs::kInline,
      [](const Caller&, const auto&, auto&) -> Status { return {}; });
  serve({}, {.patience = std::chrono::seconds(1)});
  grpc::ClientContext context;
  authorize_call(context, kViewerToken);
  const grpc::internal::RpcMethod rpc("/frameworks.v1.Fleet/Watch",
                                      grpc::internal::RpcMethod::SERVER_STREAMING);
  std::unique_ptr<grpc::ClientReader<pb::WatchEvent>> reader(
      grpc::internal::ClientReaderFactory<pb::WatchEvent>::Create(channel_.get(), rpc, &context,
                                                                  pb::WatchRequest()));
  const auto& series = metrics_.series("frameworks.v1.Fleet/Watch", "grpc", true);
  const auto cancelled = static_cast<size_t>(Code::kCancelled);
  // The caller takes what else comes on its connection: its library reads it while it calls.
  const auto get = [&] {
    pb::GetRequest request;
    request.set_kind("node");
    request.set_name("n");
    pb::GetResponse response;
    const auto status =
        unary_call(*channel_, "frameworks.v1.Fleet/Get", kViewerToken, request, response);
    EXPECT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
    return status.ok();
  };
  const auto deadline = system_clock().mono() + std::chrono::seconds(15);
  while (series.read().codes[cancelled] == 0 && system_clock().mono() < deadline && get())
    system_clock().sleep_for(std::chrono::milliseconds(20), {});
  EXPECT_EQ(series.read().codes[cancelled], 1u);
  get();
  context.TryCancel();
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
