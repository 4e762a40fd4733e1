#include "runtime/sessions/peer_reports.h"

#include <fmt/format.h>

#include "model/json.h"

namespace frameworks {

std::string PeerReport::text() const {
  boost::json::array waits;
  for (const ReportedWait& wait : waiting)
    waits.push_back(boost::json::array{wait.node, wait.plane, wait.since, wait.error});
  return json_text(boost::json::object{
      {"planned", planned}, {"truncated", truncated}, {"waiting", std::move(waits)}});
}

Result<PeerReport> PeerReport::parse(std::string_view text) {
  const Error bad(Code::kInvalidArgument, "not a server's report");
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return bad;
  const auto& object = json->get_object();
  const auto* planned = object.if_contains("planned");
  const auto* truncated = object.if_contains("truncated");
  const auto* waits = object.if_contains("waiting");
  if (planned == nullptr || !planned->is_int64() || waits == nullptr || !waits->is_array())
    return bad;
  PeerReport out{planned->get_int64(), {}, truncated != nullptr && *truncated == true};
  for (const auto& each : waits->get_array()) {
    const auto* wait = each.if_array();
    if (wait == nullptr || wait->size() != 4 || !wait->at(0).is_string() ||
        !wait->at(1).is_string() || !wait->at(2).is_int64() || !wait->at(3).is_string())
      return bad;
    out.waiting.push_back({std::string(wait->at(0).get_string()),
                           std::string(wait->at(1).get_string()), wait->at(2).get_int64(),
                           std::string(wait->at(3).get_string())});
  }
  return out;
}

// The same text is parsed once, however many nodes are asked for.
std::shared_ptr<const PeerReports::Parsed> PeerReports::parsed(const std::string& server) {
  std::string text = report_of_ && !server.empty() ? report_of_(server) : std::string();
  if (text.empty()) return nullptr;
  return reports_.with([&](auto& reports) -> std::shared_ptr<const Parsed> {
    auto& known = reports[server];
    if (known != nullptr && known->text == text) return known;
    auto report = PeerReport::parse(text);
    if (!report) return nullptr;
    auto made = std::make_shared<Parsed>();
    made->text = std::move(text);
    made->report = *std::move(report);
    for (const ReportedWait& wait : made->report.waiting)
      made->waits[{wait.node, wait.plane}] = &wait;
    known = made;
    return known;
  });
}

std::optional<std::string> PeerReports::lacks(const std::string& server, const std::string& node,
                                              const std::string& plane, Revision revision) {
  const auto peer = parsed(server);
  if (peer == nullptr) return "is not connected";
  const auto at = peer->waits.find({node, plane});
  if (at != peer->waits.end() && at->second->since <= revision)
    return at->second->error.empty() ? fmt::format("has not answered server {} yet", server)
                                     : at->second->error;
  if (peer->report.planned < revision || peer->report.truncated)
    return fmt::format("is being planned by server {}", server);
  return std::nullopt;
}

}  // namespace frameworks
