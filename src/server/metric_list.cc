// The names of all metrics, and the page that explains them.
#include <fmt/format.h>

#include "server/metrics.h"

namespace frameworks {

const std::vector<MetricInfo>& metric_list() {
  static const std::vector<MetricInfo> kList = {
      {"quartermaster_connections", "gauge", "transport", "Connections that are open."},
      {"quartermaster_connections_refused_total", "counter", "transport",
       "Connections that were closed at once: too many in all, or of one address."},
      {"quartermaster_health_instances_flapping", "gauge", "",
       "Instances that this server holds at their worst until they are calm."},
      {"quartermaster_health_nodes_held", "gauge", "",
       "Nodes that vanished with very many others and are not given up yet: look at it when it is "
       "not 0."},
      {"quartermaster_health_questions_total", "counter", "",
       "How often others were asked for a silent node since start."},
      {"quartermaster_health_reports_refused_total", "counter", "",
       "Reports of agents about what is not theirs, since start."},
      {"quartermaster_incidents_open", "gauge", "type", "Incidents that are open."},
      {"quartermaster_joins_refused_total", "counter", "reason",
       "Tries to join that were refused since start, by reason."},
      {"quartermaster_joins_total", "counter", "", "Nodes that joined since start."},
      {"quartermaster_logins_refused_total", "counter", "",
       "Log-ins by OpenID Connect that were refused or failed since start."},
      {"quartermaster_logins_total", "counter", "", "Log-ins by OpenID Connect since start."},
      {"quartermaster_nodes", "gauge", "state", "Nodes by health."},
      {"quartermaster_notifications_total", "counter", "result",
       "Requests to receivers of incidents since this server keeps them: told or failed."},
      {"quartermaster_request_duration_seconds", "histogram", "method, transport",
       "From a request's arrival to the end of its answer; for a stream, how long it was open."},
      {"quartermaster_requests_in_flight", "gauge", "method, transport",
       "Calls that have yet to be answered."},
      {"quartermaster_requests_total", "counter", "method, transport, code",
       "Calls of API methods that ended."},
      {"quartermaster_resources", "gauge", "kind", "Resources that the fleet has."},
      {"quartermaster_response_bytes_total", "counter", "method, transport",
       "Bytes of answers, without headers."},
      {"quartermaster_revision", "gauge", "", "Revision of the newest write."},
      {"quartermaster_sessions", "gauge", "", "Nodes that are connected."},
      {"quartermaster_tokens_admitted_total", "counter", "",
       "Requests with an account's token since start."},
      {"quartermaster_tokens_refused_total", "counter", "reason",
       "Requests with an account's token that were refused since start, by reason."},
      {"quartermaster_watchers", "gauge", "method, transport", "Streams that are open."},
      {"quartermaster_work_queue", "gauge", "", "Calls that wait for a worker thread."},
  };
  return kList;
}

std::string metrics_page() {
  std::string out =
      "# Metrics\n\n"
      "Printed by `quartermaster --print-metrics`; not edited by hand. `GET /metrics` of the REST\n"
      "port answers in Prometheus' text format, without a token: the figures name methods and\n"
      "states, never tenants. `GET /healthz` answers `ok` while the server serves.\n\n"
      "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n";
  for (const MetricInfo& info : metric_list())
    out += fmt::format("| `{}` | {} | {} | {} |\n", info.name, info.type, info.labels, info.help);
  return out;
}

}  // namespace frameworks
