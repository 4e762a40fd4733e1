#include "agent/agent.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/join.h"
#include "agent/json_text.h"
#include "agent/version.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A server that takes the stream but does not greet is given up.
constexpr seconds kWelcomeTimeout{10};
// How often the host is compared with the plan while nothing else happens.
constexpr seconds kRefresh{60};
constexpr seconds kRenewRetry{60};

Duration duration_of(const google::protobuf::Duration& duration) {
  return seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

double random_fraction() {
  const std::string bytes = random_bytes(2);
  return (static_cast<unsigned char>(bytes[0]) * 256 + static_cast<unsigned char>(bytes[1])) /
         65536.0;
}

}  // namespace

Duration backoff(int failures, double random) {
  constexpr milliseconds kFirst{200};
  constexpr milliseconds kMost{5'000};
  const Duration whole = std::min<Duration>(kFirst * (1LL << std::clamp(failures, 0, 10)), kMost);
  return std::chrono::duration_cast<Duration>(whole * (0.5 + random / 2));
}

Result<std::unique_ptr<Agent>> Agent::start(AgentOptions options, NodeDrivers drivers,
                                            std::unique_ptr<Prober> prober, Clock& clock) {
  std::unique_ptr<Agent> agent(new Agent(std::move(options), clock));
  ASSIGN_OR_RETURN(agent->identity_, Identity::load_or_create(agent->options_.state));
  Agent* self = agent.get();
  agent->checks_ =
      std::make_unique<Checks>(std::move(prober), clock, [self](const pb::CheckReport& report) {
        self->post([&](Mailbox& mail) {
          mail.checks[{report.instance(), report.check()}] = report;
        });
      });
  agent->plan_ = std::make_unique<Plan>(agent->options_.state / "plan.pb", std::move(drivers),
                                        agent->identity_->wireguard_private_key(), *agent->checks_,
                                        agent->tenancy_, agent->sessions_, clock);
  agent->plan_->restore();
  if (!agent->options_.media_listen.empty()) {
    ASSIGN_OR_RETURN(agent->media_,
                     MediaAuthority::start(
                         agent->options_.media_listen, agent->tenancy_,
                         [self] { return self->status_json(); }, &agent->checks_->passive()));
    if (!agent->options_.media_log.empty()) {
      ASSIGN_OR_RETURN(agent->media_log_, MediaLog::start(agent->options_.media_log));
    }
    agent->traffic_ = std::make_unique<MediaTraffic>(
        agent->options_.media_statistics, agent->media_log_.get(), agent->tenancy_, clock);
  }
  agent->reach_ = ReachDesk::start(clock);
  agent->applier_ = std::jthread([self](const std::stop_token& stop) { self->apply_loop(stop); });
  return agent;
}

Agent::~Agent() {
  applier_ = {};  // stops and joins
  reach_ = nullptr;
  traffic_ = nullptr;
  media_log_ = nullptr;
  media_ = nullptr;
  checks_ = nullptr;
}

void Agent::post(const std::function<void(Mailbox&)>& change) {
  {
    const std::lock_guard lock(mutex_);
    change(mailbox_);
  }
  changed_.notify_all();
}

// What goes wrong again and again is logged when it begins and when it becomes something else.
void Agent::complain(const std::string& about) {
  if (about != last_complaint_) spdlog::warn("{}", about);
  last_complaint_ = about;
}

// Whether there is a certificate to connect with.
bool Agent::try_join_if_needed() {
  const auto& credentials = identity_->credentials();
  const bool valid = credentials && clock_.wall() < credentials->not_after;
  const auto token = read_file(options_.token_file);
  const bool fresh = token && !trim(*token).empty() && *token != refused_token_;
  if (valid && !fresh) return true;
  if (!token || trim(*token).empty()) {
    complain(fmt::format("not joined{}: waiting for a token in {}",
                         credentials ? " any more: certificate expired" : "",
                         options_.token_file.string()));
    return false;
  }
  const auto joined = join({.server = options_.server,
                            .node = options_.node,
                            .token_file = options_.token_file,
                            .ca_file = options_.ca_file},
                           *identity_);
  if (joined) return true;
  complain(joined.error().text());
  if (joined.error().code() == Code::kPermissionDenied ||
      joined.error().code() == Code::kUnauthenticated)
    refused_token_ = *token;
  return valid;
}

void Agent::run(const std::stop_token& stop) {
  int failures = 0;
  while (!stop.stop_requested()) {
    if (try_join_if_needed()) {
      welcomed_ = false;
      const Error ended = run_session(stop);
      if (connected_.exchange(false)) last_contact_ = clock_.mono().time_since_epoch().count();
      if (stop.stop_requested()) break;
      if (welcomed_) failures = 0;
      complain(fmt::format("away from {}: {}; going on with the last plan", options_.server,
                           ended.message()));
    }
    clock_.sleep_for(backoff(failures++, random_fraction()), stop);
  }
}

Error Agent::run_session(const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    mailbox_ = {};
    updates_.clear();
  }
  const NodeCredentials& credentials = *identity_->credentials();
  const auto link = Link::open({.server = options_.server,
                                .ca_pem = credentials.ca_pem,
                                .certificate_pem = credentials.certificate_pem,
                                .key_pem = identity_->tls_key_pem()});
  Error ended(Code::kUnavailable, "the stream broke");
  std::jthread reader([&] {
    ended = link->read([&](pb::ServerMessage message) {
      post([&](Mailbox& mail) { mail.received.push_back(std::move(message)); });
    });
    post([](Mailbox& mail) { mail.ended = true; });
  });
  const Error why = serve(*link, stop);
  // A stream that broke ends by itself, and then the server's reason is not lost.
  if (why.code() != Code::kUnknown) link->cancel();
  reader.join();
  // What the server said counts for more than that the stream then broke.
  return why.code() == Code::kUnknown ? ended : why;
}

// Until the stream ends (kUnknown), the server fails to greet, or `stop`.
Error Agent::serve(Link& link, const std::stop_token& stop) {
  const Error broken(Code::kUnknown, "");
  if (!say_hello(link)) return broken;
  const MonoTime begin = clock_.mono();
  next_beat_ = begin;
  for (int64_t sequence = 0; !stop.stop_requested();) {
    Mailbox mail;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(
          lock, stop, std::max<Duration>(next_beat_ - clock_.mono(), Duration::zero()), [&] {
            return mailbox_.ended || !mailbox_.received.empty() || !mailbox_.acks.empty() ||
                   !mailbox_.checks.empty() || !mailbox_.probed.empty();
          });
      Mailbox empty;
      empty.ended = mailbox_.ended;
      mail = std::exchange(mailbox_, std::move(empty));
    }
    for (pb::ServerMessage& message : mail.received) handle(std::move(message));
    if (mail.ended) return broken;
    if (!send_reports(link, mail) || !renew_if_due(link)) return broken;
    const MonoTime now = clock_.mono();
    if (!welcomed_ && now - begin > kWelcomeTimeout)
      return {Code::kDeadlineExceeded, "the server does not greet"};
    if (now >= next_beat_) {
      if (!send_heartbeat(link, ++sequence)) return broken;
      next_beat_ = now + heartbeat_interval_;
    }
  }
  return {Code::kCancelled, "stopped"};
}

bool Agent::send_heartbeat(Link& link, int64_t sequence) {
  pb::AgentMessage message;
  pb::Heartbeat& heartbeat = *message.mutable_heartbeat();
  heartbeat.set_sequence(sequence);
  const auto now = std::chrono::duration_cast<milliseconds>(clock_.wall().time_since_epoch());
  heartbeat.mutable_time()->set_seconds(now / seconds(1));
  heartbeat.mutable_time()->set_nanos(static_cast<int32_t>((now % seconds(1)).count() * 1'000'000));
  // What a simulated node's host does is not the node's load.
  if (!options_.simulated)
    if (auto load = load_.measure(clock_.mono()); load) *heartbeat.mutable_load() = *load;
  for (const auto& [instance, sessions] : sessions_.counts())
    (*heartbeat.mutable_sessions())[instance] = sessions;
  return link.write(message);
}

bool Agent::say_hello(Link& link) {
  pb::AgentMessage message;
  pb::Hello& hello = *message.mutable_hello();
  hello.set_version(kAgentVersion);
  hello.set_wireguard_public_key(identity_->wireguard_public_key());
  hello.set_wireguard_backend(plan_->wireguard_backend());
  hello.set_simulated(options_.simulated);
  for (const auto& [section, hash] : plan_->summary().hashes)
    (*hello.mutable_section_hashes())[section] = hash;
  if (!link.write(message)) return false;
  for (const pb::CheckReport& report : checks_->states()) {
    pb::AgentMessage told;
    *told.mutable_check() = report;
    if (!link.write(told)) return false;
  }
  return true;
}

bool Agent::send_reports(Link& link, Mailbox& mail) {
  for (pb::PlanAck& ack : mail.acks) {
    pb::AgentMessage message;
    *message.mutable_ack() = std::move(ack);
    if (!link.write(message)) return false;
  }
  for (auto& [key, report] : mail.checks) {
    pb::AgentMessage message;
    *message.mutable_check() = std::move(report);
    if (!link.write(message)) return false;
  }
  for (pb::ProbeResult& result : mail.probed) {
    pb::AgentMessage message;
    *message.mutable_probed() = std::move(result);
    if (!link.write(message)) return false;
  }
  return true;
}

bool Agent::renew_if_due(Link& link) {
  if (!welcomed_ || clock_.wall() < identity_->credentials()->renew_at() ||
      clock_.mono() < renew_not_before_)
    return true;
  renew_not_before_ = clock_.mono() + kRenewRetry;
  auto request = identity_->certificate_request(options_.node);
  if (!request) {
    spdlog::error("renew: {}", request.error().text());
    return true;
  }
  pb::AgentMessage message;
  message.mutable_renew()->set_certificate_request(std::move(*request));
  return link.write(message);
}

void Agent::handle(pb::ServerMessage message) {
  if (message.has_welcome()) {
    set_interval(message.welcome());
    welcomed_ = true;
    connected_ = true;
    last_complaint_.clear();
    spdlog::info("connected to {}", options_.server);
  } else if (message.has_plan()) {
    {
      const std::lock_guard lock(mutex_);
      updates_.push_back(std::move(*message.mutable_plan()));
    }
    changed_.notify_all();
  } else if (message.has_settings()) {
    set_interval(message.settings());
  } else if (message.has_probe()) {
    look_for(message.probe());
  } else if (message.has_renewed()) {
    if (auto stored = identity_->store(message.renewed().certificate(), ""); stored)
      spdlog::info("certificate renewed; in use from the next connection on");
    else
      spdlog::error("renew: {}", stored.error().text());
  }
}

void Agent::set_interval(const pb::Welcome& welcome) {
  const Duration interval = duration_of(welcome.heartbeat_interval());
  heartbeat_interval_ = std::clamp<Duration>(interval, milliseconds(100), seconds(60));
  // A shorter one holds at once: the server counts from now on.
  next_beat_ = std::min(next_beat_, clock_.mono() + heartbeat_interval_);
}

void Agent::look_for(const pb::ProbePeer& probe) {
  pb::ProbeResult result;
  result.set_node(probe.node());
  result.set_id(probe.id());
  auto answer = [this, result](const Reach& reach) mutable {
    result.set_reachable(reach.reachable);
    result.set_message(reach.how);
    post([&](Mailbox& mail) { mail.probed.push_back(std::move(result)); });
  };
  // A simulated node stands in no network of its own, as a rule.
  if (options_.simulated && !options_.looks_for_peers) return answer({false, "simulated"});
  reach_->look({probe.targets().begin(), probe.targets().end()}, duration_of(probe.timeout()),
               answer);
}

void Agent::apply_loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::optional<pb::PlanUpdate> update;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, stop, kRefresh, [&] { return !updates_.empty(); });
      if (stop.stop_requested()) return;
      if (!updates_.empty()) {
        update = std::move(updates_.front());
        updates_.pop_front();
      }
    }
    if (!update) {
      plan_->refresh();
      continue;
    }
    pb::PlanAck ack = plan_->apply(std::move(*update));
    spdlog::info("plan: revision {}: {} applied, {} failed, {:.1f} ms", ack.revision(),
                 ack.applied_size(), ack.errors_size(),
                 static_cast<double>(ack.elapsed_us()) / 1000.0);
    post([&](Mailbox& mail) { mail.acks.push_back(std::move(ack)); });
  }
}

std::string Agent::status_json() const {
  const Plan::Summary plan = plan_->summary();
  const int64_t contact = last_contact_.load();
  const bool connected = connected_.load();
  const int64_t age = connected ? 0
                      : contact == 0
                          ? -1
                          : (clock_.mono().time_since_epoch().count() - contact) / 1'000'000'000;
  std::string errors;
  for (const auto& [section, why] : plan.errors)
    errors +=
        fmt::format("{}{}: {}", errors.empty() ? "" : ",", json_string(section), json_string(why));
  return fmt::format(
      "{{\"node\": {}, \"version\": {}, \"simulated\": {}, \"connected\": {}, "
      "\"secondsSinceContact\": {}, "
      "\"revision\": {}, \"tenants\": {}, \"errors\": {{{}}}}}\n",
      json_string(options_.node), json_string(kAgentVersion), options_.simulated, connected, age,
      plan.revision, tenancy_.tenants(), errors);
}

}  // namespace frameworks
