#include "agent/media_authority.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <thread>

#include "agent/listen_address.h"
#include "base/log.h"

namespace frameworks {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

constexpr size_t kMaxBody = 16 * 1024;
constexpr uint32_t kMaxHeader = 8 * 1024;
constexpr int kMaxConnections = 128;
// For one request on a connection, waiting for it included.
constexpr std::chrono::seconds kTimeout{5};

using Answer = http::response<http::string_body>;

struct Site {
  Tenancy& tenancy;
  std::function<std::string()> status;
  PassiveChecks* passive = nullptr;
  int connections = 0;  // the one thread's own
};

struct Question {
  std::string_view path;
  PublishAnswer (*ask)(Tenancy& tenancy, std::string_view form);
  std::string_view refusal;  // for the log
};

// What the media server asks or tells of a stream or of somebody who watches one.
constexpr Question kQuestions[] = {
    {"/v1/publish",
     [](Tenancy& tenancy, std::string_view form) { return tenancy.may_publish(form); },
     "publish refused"},
    {"/v1/publish-update",
     [](Tenancy& tenancy, std::string_view form) { return tenancy.may_go_on(form); }, "ended"},
    {"/v1/publish-done",
     [](Tenancy& tenancy, std::string_view form) {
       tenancy.ended(form);
       return PublishAnswer{true, "noted"};
     },
     ""},
    {"/v1/play", [](Tenancy& tenancy, std::string_view form) { return tenancy.may_play(form); },
     "viewer refused"},
    {"/v1/play-done",
     [](Tenancy& tenancy, std::string_view form) {
       tenancy.stopped_playing(form);
       return PublishAnswer{true, "noted"};
     },
     ""},
};

void answer_question(const http::request<http::string_body>& request, const Question& question,
                     Tenancy& tenancy, Answer& answer) {
  if (request.method() != http::verb::post) {
    answer.result(http::status::method_not_allowed);
    answer.set(http::field::allow, "POST");
    answer.body() = "POST only\n";
    return;
  }
  const PublishAnswer verdict = question.ask(tenancy, request.body());
  answer.result(verdict.allowed ? http::status::ok : http::status::forbidden);
  answer.body() = verdict.reason + "\n";
  if (!verdict.allowed) spdlog::info("{}: {}", question.refusal, verdict.reason);
}

void answer_watcher(const http::request<http::string_body>& request, Tenancy& tenancy,
                    Answer& answer) {
  const auto header = [&](std::string_view name) {
    const auto value = request[beast::string_view(name.data(), name.size())];
    return std::string_view(value.data(), value.size());
  };
  const PublishAnswer verdict = tenancy.may_watch(header("X-Stream"), header("X-Viewer"));
  answer.result(verdict.allowed ? http::status::no_content : http::status::forbidden);
  answer.body() = verdict.allowed ? std::string() : verdict.reason + "\n";
}

// "<instance>/<check>", where the check may have a slash of its own.
void take_check(const http::request<http::string_body>& request, std::string_view about,
                PassiveChecks& passive, Answer& answer) {
  if (request.method() != http::verb::put) {
    answer.result(http::status::method_not_allowed);
    answer.set(http::field::allow, "PUT");
    answer.body() = "PUT only\n";
    return;
  }
  const size_t slash = about.find('/');
  if (slash == std::string_view::npos) return;
  const Status told = passive.tell(about.substr(0, slash), about.substr(slash + 1), request.body());
  answer.result(told                                     ? http::status::ok
                : told.error().code() == Code::kNotFound ? http::status::not_found
                                                         : http::status::bad_request);
  answer.body() = (told ? "noted" : told.error().message()) + "\n";
}

Answer answer_to(const http::request<http::string_body>& request, const Site& site) {
  Answer answer{http::status::not_found, request.version()};
  answer.set(http::field::content_type, "text/plain");
  answer.body() = "not found\n";
  const std::string_view target(request.target().data(), request.target().size());
  const auto* question = std::find_if(std::begin(kQuestions), std::end(kQuestions),
                                      [&](const Question& each) { return each.path == target; });
  if (question != std::end(kQuestions)) {
    answer_question(request, *question, site.tenancy, answer);
  } else if (target.starts_with("/v1/checks/") && site.passive != nullptr) {
    take_check(request, target.substr(11), *site.passive, answer);
  } else if (target == "/v1/watch" && request.method() == http::verb::get) {
    answer_watcher(request, site.tenancy, answer);
  } else if (target == "/v1/status" && request.method() == http::verb::get) {
    answer.result(http::status::ok);
    answer.set(http::field::content_type, "application/json");
    answer.body() = site.status();
  }
  answer.keep_alive(request.keep_alive());
  answer.prepare_payload();
  return answer;
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Site& site) : stream_(std::move(socket)), site_(site) {
    ++site_.connections;
  }
  ~Connection() { --site_.connections; }

  void read() {
    parser_.emplace();
    parser_->body_limit(kMaxBody);
    parser_->header_limit(kMaxHeader);
    stream_.expires_after(kTimeout);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](beast::error_code error, size_t) { self->on_read(error); });
  }

 private:
  void on_read(beast::error_code error) {
    if (error == http::error::end_of_stream || error == beast::error::timeout) return;
    if (error == http::error::body_limit || error == http::error::header_limit) {
      answer_ = Answer{http::status::payload_too_large, 11};
    } else if (error.category() == http::make_error_code(http::error::end_of_stream).category()) {
      answer_ = Answer{http::status::bad_request, 11};
    } else if (error) {
      return;
    } else {
      answer_ = answer_to(parser_->get(), site_);
    }
    if (error) {
      answer_.keep_alive(false);
      answer_.prepare_payload();
    }
    http::async_write(
        stream_, answer_,
        [self = shared_from_this()](beast::error_code failed, size_t) { self->on_write(failed); });
  }

  void on_write(beast::error_code error) {
    if (error) return;
    if (answer_.keep_alive()) return read();
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
  }

  beast::tcp_stream stream_;
  Site& site_;
  beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
  std::optional<http::request_parser<http::string_body>> parser_;
  Answer answer_;
};

class BeastMediaAuthority final : public MediaAuthority {
 public:
  BeastMediaAuthority(const tcp::endpoint& at, Tenancy& tenancy,
                      std::function<std::string()> status, PassiveChecks* passive)
      : site_{tenancy, std::move(status), passive}, acceptor_(context_, at) {
    accept();
    thread_ = std::jthread([this] { context_.run(); });
  }

  ~BeastMediaAuthority() override {
    context_.stop();
    thread_.join();
  }

  [[nodiscard]] int port() const override { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      // Beyond the limit a connection is closed at once; the caller may come again.
      if (!error && site_.connections < kMaxConnections)
        std::make_shared<Connection>(std::move(socket), site_)->read();
      accept();
    });
  }

  // Declared first, destroyed last: connections that the context still holds refer to it.
  Site site_;
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<MediaAuthority>> MediaAuthority::start(const std::string& listen,
                                                              Tenancy& tenancy,
                                                              std::function<std::string()> status,
                                                              PassiveChecks* passive) {
  try {
    return std::unique_ptr<MediaAuthority>(std::make_unique<BeastMediaAuthority>(
        listen_address<tcp::endpoint>(listen), tenancy, std::move(status), passive));
  } catch (const std::exception& failed) {
    return Error(Code::kUnavailable, fmt::format("listen on {}: {}", listen, failed.what()));
  }
}

}  // namespace frameworks
