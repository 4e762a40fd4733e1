#include <ares.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>

#include <array>

#include "runtime/tenants/txt_resolver.h"

namespace frameworks {
namespace {

constexpr int kTryMilliseconds = 2000;
constexpr int kTries = 2;  // the second one waits twice as long
constexpr int kClassIn = 1;
constexpr int kTypeTxt = 16;

struct Answer {
  bool done = false;
  Result<std::vector<std::string>> texts = Error(Code::kUnavailable, "no answer");
};

std::vector<std::string> joined(const ares_txt_ext* records) {
  std::vector<std::string> out;
  for (const auto* part = records; part != nullptr; part = part->next) {
    if (part->record_start != 0 || out.empty()) out.emplace_back();
    out.back().append(reinterpret_cast<const char*>(part->txt), part->length);
  }
  return out;
}

void on_answer(void* target, int status, int, unsigned char* bytes, int length) {
  Answer& answer = *static_cast<Answer*>(target);
  answer.done = true;
  ares_txt_ext* records = nullptr;
  if (status == ARES_SUCCESS) status = ares_parse_txt_reply_ext(bytes, length, &records);
  if (status == ARES_SUCCESS && records != nullptr) {
    answer.texts = joined(records);
  } else if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_SUCCESS) {
    answer.texts = Error(Code::kNotFound, "there is no TXT record");
  } else {
    answer.texts = Error(Code::kUnavailable, ares_strerror(status));
  }
  if (records != nullptr) ares_free_data(records);
}

class Channel {
 public:
  ~Channel() {
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Status open(const std::string& resolver) {
    ares_options options{};
    options.timeout = kTryMilliseconds;
    options.tries = kTries;
    // A name is asked as it is: no search list, no hosts file.
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
    const int status = ares_init_options(&channel_, &options,
                                         ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS);
    if (status != ARES_SUCCESS)
      return Error(Code::kUnavailable, fmt::format("resolver: {}", ares_strerror(status)));
    if (!resolver.empty() && ares_set_servers_ports_csv(channel_, resolver.c_str()) != ARES_SUCCESS)
      return Error(Code::kInvalidArgument,
                   fmt::format("resolver \"{}\": give ADDRESS:PORT, e.g. 127.0.0.1:53", resolver));
    return {};
  }

  Result<std::vector<std::string>> find_txt(const std::string& name) {
    Answer answer;
    ares_query(channel_, name.c_str(), kClassIn, kTypeTxt, on_answer, &answer);
    while (!answer.done) wait();
    return std::move(answer.texts);
  }

 private:
  // Until something happens or a try is over; c-ares ends every query by itself.
  void wait() {
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    const int bits = ares_getsock(channel_, sockets.data(), ARES_GETSOCK_MAXNUM);
    std::array<pollfd, ARES_GETSOCK_MAXNUM> polled{};
    nfds_t count = 0;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
      const bool reads = ARES_GETSOCK_READABLE(bits, i) != 0;
      const bool writes = ARES_GETSOCK_WRITABLE(bits, i) != 0;
      if (!reads && !writes) continue;
      polled[count].fd = sockets[static_cast<size_t>(i)];
      polled[count].events = static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
      ++count;
    }
    timeval longest{kTryMilliseconds / 1000, 0};
    timeval left{};
    const timeval* timeout = ares_timeout(channel_, &longest, &left);
    poll(polled.data(), count,
         static_cast<int>(timeout->tv_sec * 1000 + timeout->tv_usec / 1000 + 1));
    bool any = false;
    for (nfds_t i = 0; i < count; ++i) {
      if (polled[i].revents == 0) continue;
      any = true;
      const bool readable = (polled[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool writable = (polled[i].revents & POLLOUT) != 0;
      ares_process_fd(channel_, readable ? polled[i].fd : ARES_SOCKET_BAD,
                      writable ? polled[i].fd : ARES_SOCKET_BAD);
    }
    if (!any) ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }

  ares_channel channel_ = nullptr;
};

// A channel for each question: checks are rare, and nothing is shared between threads.
class DnsTxtResolver final : public TxtResolver {
 public:
  explicit DnsTxtResolver(std::string resolver) : resolver_(std::move(resolver)) {}

  Result<std::vector<std::string>> find_txt(const std::string& name) override {
    Channel channel;
    RETURN_IF_ERROR(channel.open(resolver_));
    return channel.find_txt(name);
  }

 private:
  const std::string resolver_;
};

}  // namespace

Result<std::unique_ptr<TxtResolver>> make_dns_txt_resolver(const std::string& resolver) {
  // The library's own tables are made once, before there are threads that use them.
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status != ARES_SUCCESS)
    return Error(Code::kUnavailable, fmt::format("resolver: {}", ares_strerror(status)));
  Channel probe;
  RETURN_IF_ERROR(probe.open(resolver));
  return std::unique_ptr<TxtResolver>(std::make_unique<DnsTxtResolver>(resolver));
}

}  // namespace frameworks
