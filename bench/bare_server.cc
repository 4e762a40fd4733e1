#include "bare_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/locked.h"
#include "machine/certificates/authority.h"

namespace frameworks::bench {
namespace {

void tell_port(const std::string& file, int port) {
  CHECK(write_file(file, std::to_string(port), 0600));
}

// Says the same to everybody: once, and ends; or, by the method "/hold", once at the beginning and
// again to all streams each time one of them sends a message of more than kQuiet bytes.
class Parrot final : public grpc::CallbackGenericService {
 public:
  explicit Parrot(const grpc::ByteBuffer& answer) : answer_(answer) {}
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    if (context->method() == "/hold") return new Held(*this);
    return new Call(answer_);
  }

 private:
  static constexpr size_t kQuiet = 8;
  class Call final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Call(const grpc::ByteBuffer& answer) : out_(answer) { StartRead(&in_); }
    void OnReadDone(bool) override { StartWriteAndFinish(&out_, {}, grpc::Status::OK); }
    void OnDone() override { delete this; }

   private:
    grpc::ByteBuffer in_;
    grpc::ByteBuffer out_;
  };
  class Held final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Held(Parrot& parrot) : parrot_(parrot), out_(parrot.answer_) {
      parrot_.held_.with([this](auto& held) { held.insert(this); });
      StartRead(&in_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      const size_t size = in_.Length();
      in_.Clear();
      if (!std::exchange(greeted_, true))
        say();
      else if (size > kQuiet)
        parrot_.held_.with([](auto& held) {
          for (Held* each : held) each->say();
        });
      StartRead(&in_);
    }
    void OnWriteDone(bool) override { writing_ = false; }
    void OnDone() override {
      parrot_.held_.with([this](auto& held) { held.erase(this); });
      delete this;
    }

   private:
    void say() {
      if (!writing_.exchange(true)) StartWrite(&out_);
    }
    Parrot& parrot_;
    grpc::ByteBuffer in_;
    grpc::ByteBuffer out_;
    std::atomic<bool> writing_ = false;
    bool greeted_ = false;
  };
  const grpc::ByteBuffer answer_;
  Locked<std::set<Held*>> held_;
};

}  // namespace

void serve_bare_http(const std::string& port_file, size_t answer_bytes) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(listen(listener, 1024) == 0);
  CHECK(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
  std::string body(answer_bytes - head.size() - 8, ' ');
  head += fmt::format("{:04}\r\n\r\n", body.size());
  const std::string answer = head + body;
  const int epoll = epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener;
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) == 0);
  tell_port(port_file, ntohs(address.sin_port));
  std::array<epoll_event, 256> events{};
  std::array<char, 16 << 10> buffer{};
  while (true) {
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == listener) {
        event.data.fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (event.data.fd >= 0) epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        close(fd);
        continue;
      }
      // The clients send one whole request at a time.
      if (std::string_view(buffer.data(), static_cast<size_t>(got)).ends_with("\r\n\r\n"))
        (void)!send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }
}

void serve_bare_grpc(const std::string& port_file, size_t message_bytes) {
  const auto directory = TemporaryDirectory::make();
  const auto authority = Authority::load_or_create(directory->path(), system_clock());
  const auto identity = authority->issue_server({"quartermaster"}, {"127.0.0.1"});
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = authority->certificate_pem();
  tls.pem_key_cert_pairs.push_back({identity->key_pem, identity->certificate_pem});
  const grpc::Slice slice(std::string(message_bytes, ' '));
  Parrot parrot(grpc::ByteBuffer(&slice, 1));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port);
  builder.RegisterCallbackGenericService(&parrot);
  const auto server = builder.BuildAndStart();
  CHECK(server != nullptr);
  std::filesystem::remove_all(directory->path());  // nobody else will: this process is killed
  tell_port(port_file, port);
  server->Wait();
  std::exit(0);
}

void serve_if_asked(int argc, char** argv) {
  const std::string what = argc == 4 ? argv[1] : "";
  if (what == "bare-http") serve_bare_http(argv[2], static_cast<size_t>(std::atol(argv[3])));
  if (what == "bare-grpc") serve_bare_grpc(argv[2], static_cast<size_t>(std::atol(argv[3])));
}

BareProcess::BareProcess(const std::filesystem::path& folder, const std::string& what, size_t bytes,
                         const std::vector<int>& on) {
  const auto file = folder / (what + ".port");
  std::filesystem::remove(file);
  child_ = std::make_unique<Child>(
      std::vector<std::string>{"/proc/self/exe", what, file.string(), std::to_string(bytes)}, on,
      folder / (what + ".log"));
  while (port_ == 0) {
    CHECK(child_->running());
    system_clock().sleep_for(std::chrono::milliseconds(10), {});
    port_ = std::atoi(read_file(file).value_or("0").c_str());
  }
}

}  // namespace frameworks::bench
