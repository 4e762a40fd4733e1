#include "runtime/health/notice.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <boost/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "base/web_url.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using google::protobuf::util::TimeUtil;

constexpr int kObjectsTold = 50;

const char* form_name(Receiver::Form form) {
  return form == Receiver::Form::kWebhook ? "webhook" : "Alertmanager";
}

std::string last_message(const pb::Incident& incident) {
  const auto& lines = incident.status().timeline();
  return lines.empty() ? std::string() : lines.rbegin()->message();
}

json::array objects_of(const pb::Incident& incident) {
  json::array out;
  for (const std::string& object : incident.status().objects()) {
    if (out.size() == kObjectsTold) break;
    out.emplace_back(object);
  }
  return out;
}

std::string webhook_text(const pb::Incident& incident) {
  const pb::IncidentStatus& status = incident.status();
  json::object out{{"incident", incident.metadata().name()},
                   {"state", status.has_close_time() ? "closed" : "open"},
                   {"type", incident.spec().type()},
                   {"object", incident.spec().object()},
                   {"cause", incident.spec().cause()},
                   {"openTime", TimeUtil::ToString(status.open_time())},
                   {"objects", objects_of(incident)},
                   {"message", last_message(incident)}};
  if (status.has_close_time()) out["closeTime"] = TimeUtil::ToString(status.close_time());
  return json::serialize(out);
}

std::string alert_text(const pb::Incident& incident, const google::protobuf::Timestamp& until) {
  const pb::IncidentStatus& status = incident.status();
  std::string objects;
  for (const auto& object : objects_of(incident))
    objects += (objects.empty() ? "" : ", ") + std::string(object.as_string());
  const std::string& type = incident.spec().type();
  const bool is_mild = type == "service-degraded" || type == "saturated" || type == "clock";
  const json::object alert{
      {"labels",
       {{"alertname", "FrameworksIncident"},
        {"incident", incident.metadata().name()},
        {"type", type},
        {"object", incident.spec().object()},
        {"severity", is_mild ? "warning" : "critical"}}},
      {"annotations",
       {{"summary", incident.spec().cause()},
        {"description", objects.empty() ? last_message(incident) : "concerned: " + objects}}},
      {"startsAt", TimeUtil::ToString(status.open_time())},
      {"endsAt", TimeUtil::ToString(status.has_close_time() ? status.close_time() : until)}};
  return json::serialize(json::array{alert});
}

}  // namespace

Result<Receiver> parse_receiver(Receiver::Form form, const std::string& given, int nth) {
  Receiver out{form, fmt::format("{} {}", form_name(form), nth), given};
  if (given.starts_with("@")) {
    ASSIGN_OR_RETURN(const std::string text, read_file(given.substr(1)));
    out.url = std::string(trim(text));
  }
  const auto url = parse_web_url(out.url);
  // Without the value, which may be a secret.
  if (!url) return Error(Code::kInvalidArgument, out.name + ": " + url.error().message());
  out.name += fmt::format(" ({})", url->host);
  if (form == Receiver::Form::kAlertmanager) {
    while (out.url.ends_with("/")) out.url.pop_back();
    out.url += "/api/v2/alerts";
  }
  return out;
}

WebRequest notice_to(const Receiver& receiver, const pb::Incident& incident,
                     const google::protobuf::Timestamp& until) {
  WebRequest request;
  request.url = receiver.url;
  request.content_type = "application/json";
  request.limit = 64 * 1024;
  if (receiver.form == Receiver::Form::kAlertmanager) {
    request.content = alert_text(incident, until);
    return request;
  }
  request.content = webhook_text(incident);
  request.headers.push_back(fmt::format("Idempotency-Key: {}/{}", incident.metadata().name(),
                                        incident.status().has_close_time() ? "closed" : "open"));
  return request;
}

std::string without_url(std::string text, const Receiver& receiver) {
  for (size_t at = text.find(receiver.url); at != std::string::npos; at = text.find(receiver.url))
    text.replace(at, receiver.url.size(), "it");
  return text;
}

}  // namespace frameworks
