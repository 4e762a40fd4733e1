#include "runtime/health/incident_write.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <map>

namespace frameworks {
namespace {

google::protobuf::Timestamp timestamp(WallTime time) {
  return google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

void add_line(pb::IncidentStatus& status, WallTime time, const std::string& object,
              std::string message) {
  pb::IncidentEvent& line = *status.add_timeline();
  *line.mutable_time() = timestamp(time);
  line.set_object(object);
  line.set_message(std::move(message));
  const int over = status.timeline_size() - kTimelineLines;
  if (over > 0) status.mutable_timeline()->DeleteSubrange(0, over);
}

// "node-down.us-edge-1.5123": a name that sorts by type, and is never used twice.
std::string name_of(const WantedIncident& wanted, Revision revision) {
  std::string object = wanted.object.substr(wanted.object.find('/') + 1);
  // Names of resources are lower case already; regions may be anything.
  for (char& c : object) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (!plain) c = '-';
  }
  return fmt::format("{}.{}.{}", wanted.type, object.substr(0, 180), revision + 1);
}

// What the timeline says of each object last.
std::map<std::string, std::string> last_words(const pb::IncidentStatus& status) {
  std::map<std::string, std::string> out;
  for (const pb::IncidentEvent& line : status.timeline()) out[line.object()] = line.message();
  return out;
}

void follow(pb::IncidentStatus& status, const WantedIncident& wanted, WallTime now) {
  const std::set<std::string> before(status.objects().begin(), status.objects().end());
  const auto told = last_words(status);
  for (const auto& [object, what] : wanted.concerned) {
    // Of whom the timeline no longer tells, it is not known whether this is new.
    const auto last = told.find(object);
    const bool is_new = before.contains(object) ? last != told.end() && last->second != what
                                                : before.size() < kIncidentObjects;
    if (is_new) add_line(status, now, object, what);
  }
  for (const std::string& object : before)
    if (!wanted.concerned.contains(object)) add_line(status, now, object, "is no longer concerned");
  status.clear_objects();
  for (const auto& [object, what] : wanted.concerned) {
    if (static_cast<size_t>(status.objects_size()) >= kIncidentObjects) break;
    status.add_objects(object);
  }
}

void open(Transaction& transaction, const WantedIncident& wanted, int nth) {
  pb::Incident incident;
  incident.mutable_metadata()->set_name(name_of(wanted, transaction.snapshot().revision()) +
                                        (nth == 0 ? "" : fmt::format("-{}", nth)));
  incident.mutable_spec()->set_type(wanted.type);
  incident.mutable_spec()->set_object(wanted.object);
  incident.mutable_spec()->set_cause(wanted.cause);
  *incident.mutable_status()->mutable_open_time() = timestamp(transaction.time());
  add_line(*incident.mutable_status(), transaction.time(), wanted.object,
           "opened: " + wanted.cause);
  follow(*incident.mutable_status(), wanted, transaction.time());
  transaction.put(std::move(incident));
}

// Of which other incident what this one was about is part from now on.
std::string goes_on_as(const pb::Incident& incident, const WantedIncidents& wanted) {
  for (const std::string& object : incident.status().objects())
    for (const auto& [key, other] : wanted)
      if (other.concerned.contains(object) && key.first != "saturated" && key.first != "clock")
        return fmt::format("{} of {}", other.type, other.object);
  return {};
}

void close(Transaction& transaction, pb::Incident incident, const WantedIncidents& wanted) {
  const WallTime now = transaction.time();
  const std::string next = goes_on_as(incident, wanted);
  pb::IncidentStatus& status = *incident.mutable_status();
  for (const std::string& object : status.objects())
    if (next.empty()) add_line(status, now, object, "is no longer concerned");
  add_line(status, now, incident.spec().object(),
           next.empty() ? "closed: all of it is over" : "closed: goes on as " + next);
  status.clear_objects();
  *status.mutable_close_time() = timestamp(now);
  transaction.put(std::move(incident));
}

void forget_old(Transaction& transaction) {
  auto closed = transaction.snapshot().find_by<pb::Incident>("state", "closed");
  if (closed.size() <= kClosedKept) return;
  std::sort(closed.begin(), closed.end(), [](const auto& a, const auto& b) {
    return a->status().close_time() < b->status().close_time();
  });
  for (size_t i = 0; i < closed.size() - kClosedKept; ++i)
    transaction.remove({"Incident", "", closed[i]->metadata().name()});
}

}  // namespace

std::vector<std::shared_ptr<const pb::Incident>> open_incidents(const Snapshot& snapshot) {
  return snapshot.find_by<pb::Incident>("state", "open");
}

void write_incidents(Transaction& transaction, const WantedIncidents& wanted) {
  std::set<IncidentKey> present;
  bool closed_any = false;
  for (const auto& stored : open_incidents(transaction.snapshot())) {
    const IncidentKey key{stored->spec().type(), stored->spec().object()};
    const auto at = wanted.find(key);
    // Two of one cause are one too many, however that came to be.
    if (at == wanted.end() || !present.insert(key).second) {
      close(transaction, *stored, wanted);
      closed_any = true;
      continue;
    }
    pb::Incident next = *stored;
    follow(*next.mutable_status(), at->second, transaction.time());
    transaction.put(std::move(next));
  }
  int opened = 0;
  for (const auto& [key, incident] : wanted)
    if (!present.contains(key)) open(transaction, incident, opened++);
  if (closed_any) forget_old(transaction);
}

}  // namespace frameworks
