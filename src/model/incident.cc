// Something that went wrong, from its first sign to its end. Written by the runtime layer.
#include <google/protobuf/util/time_util.h>

#include "frameworks/v1/operation.pb.h"
#include "model/kinds.h"

namespace frameworks {
namespace {

std::string state(const pb::Incident& incident) {
  return incident.status().has_close_time() ? "closed" : "open";
}

// To the second, in UTC; "-" when there is none.
std::string time_text(bool given, const google::protobuf::Timestamp& time) {
  if (!given) return "-";
  google::protobuf::Timestamp whole;
  whole.set_seconds(time.seconds());
  return google::protobuf::util::TimeUtil::ToString(whole);
}

}  // namespace

Kind incident_kind() {
  return make_kind<pb::Incident>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& i) { return i.metadata().name(); }},
                  {"TYPE", [](const auto& i) { return i.spec().type(); }},
                  {"STATE", state},
                  {"OBJECT", [](const auto& i) { return i.spec().object(); }},
                  {"OPENED",
                   [](const auto& i) {
                     return time_text(i.status().has_open_time(), i.status().open_time());
                   }},
                  {"CLOSED",
                   [](const auto& i) {
                     return time_text(i.status().has_close_time(), i.status().close_time());
                   }},
                  {"CAUSE", [](const auto& i) { return i.spec().cause(); }}},
      .index =
          [](const pb::Incident& incident) {
            return std::vector<std::pair<std::string, std::string>>{{"state", state(incident)}};
          },
  });
}

}  // namespace frameworks
