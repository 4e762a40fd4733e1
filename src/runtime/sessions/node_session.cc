#include "runtime/sessions/node_session.h"

namespace frameworks {

void copy_section(const pb::PlanUpdate& from, const std::string& section, pb::PlanUpdate& to) {
  const auto* field = pb::PlanUpdate::descriptor()->FindFieldByName(section);
  const auto hash = from.section_hashes().find(section);
  if (field == nullptr || hash == from.section_hashes().end()) return;
  const auto* reflection = from.GetReflection();
  reflection->MutableMessage(&to, field)->CopyFrom(reflection->GetMessage(from, field));
  (*to.mutable_section_hashes())[section] = hash->second;
}

namespace {

void set_heartbeat(pb::Welcome& welcome, Duration heartbeat) {
  auto* interval = welcome.mutable_heartbeat_interval();
  interval->set_seconds(heartbeat / std::chrono::seconds(1));
  interval->set_nanos(static_cast<int32_t>((heartbeat % std::chrono::seconds(1)).count()));
}

}  // namespace

void NodeSession::hello(const pb::Hello& hello, Duration heartbeat) {
  greeted_ = true;
  sent_ = {hello.section_hashes().begin(), hello.section_hashes().end()};
  pb::ServerMessage message;
  set_heartbeat(*message.mutable_welcome(), heartbeat);
  ready_.push_back(std::move(message));
}

void NodeSession::renewed(std::string certificate_pem) {
  pb::ServerMessage message;
  message.mutable_renewed()->set_certificate(std::move(certificate_pem));
  ready_.push_back(std::move(message));
}

void NodeSession::set_interval(Duration heartbeat) {
  if (!greeted_) return;  // its welcome will say so
  pb::ServerMessage message;
  set_heartbeat(*message.mutable_settings(), heartbeat);
  // The newest counts: a node that reads slowly is not sent every one.
  std::erase_if(ready_, [](const auto& waiting) { return waiting.has_settings(); });
  ready_.push_back(std::move(message));
}

bool NodeSession::push(pb::ServerMessage message) {
  if (!greeted_ || ready_.size() >= kWaiting) return false;
  ready_.push_back(std::move(message));
  return true;
}

std::optional<pb::PlanUpdate> NodeSession::update(const pb::PlanUpdate& wanted) {
  if (in_flight_.size() >= kInFlight) return {};
  pb::PlanUpdate update;
  for (const auto& [section, hash] : wanted.section_hashes()) {
    const auto sent = sent_.find(section);
    if (sent == sent_.end() || sent->second != hash) copy_section(wanted, section, update);
  }
  if (update.section_hashes().empty()) return {};
  update.set_revision(wanted.revision());
  auto& flight = in_flight_[update.revision()];
  for (const auto& [section, hash] : update.section_hashes())
    sent_[section] = flight[section] = hash;
  return update;
}

std::optional<pb::ServerMessage> NodeSession::next(const pb::PlanUpdate* wanted) {
  if (!greeted_) return {};
  if (!ready_.empty()) {
    pb::ServerMessage message = std::move(ready_.front());
    ready_.pop_front();
    return message;
  }
  if (wanted == nullptr) return {};
  auto plan = update(*wanted);
  if (!plan) return {};
  pb::ServerMessage message;
  *message.mutable_plan() = std::move(*plan);
  return message;
}

bool NodeSession::has(const pb::PlanUpdate& wanted) const {
  if (!greeted_) return false;
  for (const auto& [section, hash] : wanted.section_hashes()) {
    const auto sent = sent_.find(section);
    if (sent == sent_.end() || sent->second != hash) return false;
  }
  return true;
}

std::map<std::string, std::string> NodeSession::answered(const pb::PlanAck& ack) {
  const auto at = in_flight_.find(ack.revision());
  if (at == in_flight_.end()) return {};
  auto sections = std::move(at->second);
  in_flight_.erase(at);
  return sections;
}

bool NodeSession::retry(MonoTime now) {
  bool due = false;
  for (auto at = retry_at_.begin(); at != retry_at_.end();) {
    if (at->second > now) {
      ++at;
      continue;
    }
    sent_.erase(at->first);
    at = retry_at_.erase(at);
    due = true;
  }
  return due;
}

}  // namespace frameworks
