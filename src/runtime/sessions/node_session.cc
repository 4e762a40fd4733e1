#include "runtime/sessions/node_session.h"

#include <algorithm>

namespace frameworks {
namespace {

void set_heartbeat(pb::Welcome& welcome, Duration heartbeat) {
  auto* interval = welcome.mutable_heartbeat_interval();
  interval->set_seconds(heartbeat / std::chrono::seconds(1));
  interval->set_nanos(static_cast<int32_t>((heartbeat % std::chrono::seconds(1)).count()));
}

}  // namespace

bool same_sections(const NodePlan& a, const NodePlan& b) {
  return std::equal(a.sections.begin(), a.sections.end(), b.sections.begin(), b.sections.end(),
                    [](const auto& one, const auto& other) {
                      return one.first == other.first && one.second->hash() == other.second->hash();
                    });
}

void NodeSession::hello(const pb::Hello& hello, Duration heartbeat) {
  greeted_ = true;
  sent_ = {hello.section_hashes().begin(), hello.section_hashes().end()};
  std::erase_if(bases_, [&](const auto& base) { return !was_sent(base.first, *base.second); });
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

bool NodeSession::was_sent(const std::string& name, const PlanSection& section) const {
  const auto sent = sent_.find(name);
  return sent != sent_.end() && sent->second == section.hash();
}

void NodeSession::keep_base(const std::string& name, const PlanSectionPtr& section) {
  if (section->is_base())
    bases_[name] = section;
  else
    bases_.erase(name);
}

std::optional<pb::PlanUpdate> NodeSession::update(const NodePlan& wanted) {
  if (in_flight_.size() >= kInFlight) return {};
  pb::PlanUpdate update;
  Flight flight{wanted.revision, {}};
  for (const auto& [name, section] : wanted.sections) {
    if (was_sent(name, *section)) continue;
    const auto base = bases_.find(name);
    // Updates are applied in the order in which they are sent: what was sent last is there by then.
    const bool is_part = base != bases_.end() && section->put_changes(*base->second, update);
    if (!is_part) section->put(update);
    (*update.mutable_section_hashes())[name] = section->hash();
    flight.sections[name] = {section->hash(), is_part};
    sent_[name] = section->hash();
    keep_base(name, section);
  }
  if (flight.sections.empty()) return {};
  update.set_revision(wanted.revision);
  in_flight_.push_back(std::move(flight));
  return update;
}

std::optional<pb::ServerMessage> NodeSession::next(const NodePlan& wanted) {
  if (!greeted_) return {};
  if (!ready_.empty()) {
    pb::ServerMessage message = std::move(ready_.front());
    ready_.pop_front();
    return message;
  }
  auto plan = update(wanted);
  if (!plan) return {};
  pb::ServerMessage message;
  *message.mutable_plan() = std::move(*plan);
  return message;
}

void NodeSession::take_out_sent(NodePlan& wanted) {
  if (!greeted_) return;
  std::erase_if(wanted.sections, [&](const auto& entry) {
    const auto& [name, section] = entry;
    if (!was_sent(name, *section)) return false;
    keep_base(name, section);
    return true;
  });
}

std::map<std::string, NodeSession::Sent> NodeSession::answered(const pb::PlanAck& ack) {
  const auto at = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const Flight& flight) {
    return flight.revision == ack.revision();
  });
  if (at == in_flight_.end()) return {};
  auto sections = std::move(at->sections);
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
    bases_.erase(at->first);
    at = retry_at_.erase(at);
    due = true;
  }
  return due;
}

}  // namespace frameworks
