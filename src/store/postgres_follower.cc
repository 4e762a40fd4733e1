#include "store/postgres_follower.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "base/log.h"

namespace frameworks {
namespace {

constexpr const char* kChannel = "frameworks";

}  // namespace

PostgresFollower::PostgresFollower(const std::string& conninfo, bool notify, Duration poll)
    : poll_(poll), line_(conninfo), notify_(notify), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(wake_.valid());
}

PostgresFollower::~PostgresFollower() {
  thread_.request_stop();
  eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void PostgresFollower::start(std::function<void()> changed) {
  CHECK(!thread_.joinable());
  changed_ = std::move(changed);
  thread_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
}

void PostgresFollower::known(Revision revision) {
  Revision before = known_.load();
  while (before < revision && !known_.compare_exchange_weak(before, revision)) {
  }
}

void PostgresFollower::tell_others() {
  if (!tell_.exchange(true)) eventfd_write(wake_.get(), 1);
}

void PostgresFollower::wait(int socket) const {
  const auto left = looked_ + poll_ - system_clock().mono();
  pollfd ready[] = {{wake_.get(), POLLIN, 0}, {socket, POLLIN, 0}};
  poll(ready, socket < 0 ? 1 : 2,
       static_cast<int>(
           std::max<int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(left).count())));
  eventfd_t ignored = 0;
  eventfd_read(wake_.get(), &ignored);
}

// One round on a connection that works.
Status PostgresFollower::look(Postgres& connection) {
  if (tell_.exchange(false) && notify_) RETURN_IF_ERROR(connection.run("NOTIFY frameworks"));
  ASSIGN_OR_RETURN(const bool notified, connection.notified());
  const MonoTime now = system_clock().mono();
  if (!notified && now < looked_ + poll_) return {};
  looked_ = now;
  ASSIGN_OR_RETURN(const PostgresRows rows,
                   connection.execute("SELECT revision FROM frameworks.head WHERE id = 1"));
  if (rows.count() == 1 && rows.integer(0, 0) > known_.load()) changed_();
  return {};
}

void PostgresFollower::follow(const std::stop_token& stop) {
  // Which connection has been told to LISTEN, by its socket; a new one has to be told again.
  bool listens = false;
  while (!stop.stop_requested()) {
    int socket = -1;
    const Status done = line_.with([&](Postgres& connection) -> Status {
      if (notify_ && !listens) {
        const Status listening = connection.run(std::string("LISTEN ") + kChannel);
        if (!listening && !connection.is_lost()) {
          spdlog::info("store: the database has no LISTEN ({}): it is polled",
                       listening.error().message());
          notify_ = false;
        }
        listens = listening.has_value();
        looked_ = {};
      }
      const Status looked = look(connection);
      if (connection.is_lost()) {
        listens = false;
      } else {
        socket = connection.socket();
      }
      return looked;
    });
    if (!done) {
      listens = false;
      if (!failing_) spdlog::warn("store: other servers are not heard: {}", done.error().message());
      looked_ = system_clock().mono();
    } else if (failing_) {
      spdlog::info("store: other servers are heard again");
    }
    failing_ = !done;
    wait(socket);
  }
}

}  // namespace frameworks
