// Streams of answers, and answers that exist as bytes, by both transports.
#include <mutex>
#include <thread>

#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "server/api_fixture.h"

namespace frameworks {
namespace {

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
    const auto reader = open_stream<pb::WatchEvent>(*channel_, "frameworks.v1.Fleet/Watch", context,
                                                    pb::WatchRequest());
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
  using Reader = std::unique_ptr<grpc::ClientReader<pb::WatchEvent>>;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<Reader> readers;
  const auto open = [&] {
    if (readers.size() % 100 == 0)
      channels.push_back(test_channel(grpc_->port(), authority_.certificate_pem()));
    auto& context = *contexts.emplace_back(std::make_unique<grpc::ClientContext>());
    authorize_call(context, kViewerToken);
    readers.push_back(open_stream<pb::WatchEvent>(*channels.back(), "frameworks.v1.Fleet/Watch",
                                                  context, pb::WatchRequest()));
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
  const auto reader = open_stream<pb::WatchEvent>(*channel_, "frameworks.v1.Fleet/Watch", context,
                                                  pb::WatchRequest());
  const auto& series = metrics_.series("frameworks.v1.Fleet/Watch", "grpc", true);
  const auto cancelled = static_cast<size_t>(Code::kCancelled);
  // The caller takes what else comes on its connection: its library reads it while it calls.
  const auto get = [&] {
    const auto status = get_node("n");
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

}  // namespace
}  // namespace frameworks
