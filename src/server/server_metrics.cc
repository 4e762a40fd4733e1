#include "server/server_metrics.h"

#include <fmt/format.h>

#include <map>

#include "model/words.h"

namespace frameworks {

void add_server_metrics(Metrics& metrics, const MeasuredServer& server) {
  using Samples = std::vector<Metrics::Sample>;
  metrics.add("quartermaster_revision", [server] {
    return Samples{{"", static_cast<double>(server.store.revision())}};
  });
  metrics.add("quartermaster_sessions", [server] {
    return Samples{{"", static_cast<double>(server.sessions.connected())}};
  });
  metrics.add("quartermaster_joins_total", [server] {
    return Samples{{"", static_cast<double>(server.join_desk.joined())}};
  });
  metrics.add("quartermaster_joins_refused_total", [server] {
    Samples out;
    for (int i = 0; i < kJoinRefusals; ++i) {
      const auto reason = static_cast<JoinRefusal>(i);
      out.push_back({fmt::format("reason=\"{}\"", join_refusal_name(reason)),
                     static_cast<double>(server.join_desk.refused(reason))});
    }
    return out;
  });
  metrics.add("quartermaster_resources", [server] {
    Samples out;
    const SnapshotPtr snapshot = server.store.snapshot();
    for (const Kind& kind : all_kinds())
      out.push_back(
          {fmt::format("kind=\"{}\"", kind.name), static_cast<double>(snapshot->count(kind))});
    return out;
  });
  metrics.add("quartermaster_logins_total", [server] {
    return Samples{{"", static_cast<double>(server.login_desk.admitted())}};
  });
  metrics.add("quartermaster_logins_refused_total", [server] {
    return Samples{{"", static_cast<double>(server.login_desk.refused())}};
  });
  metrics.add("quartermaster_tokens_admitted_total", [server] {
    return Samples{{"", static_cast<double>(server.token_desk.admitted())}};
  });
  metrics.add("quartermaster_tokens_refused_total", [server] {
    Samples out;
    for (int i = 0; i < kTokenRefusals; ++i) {
      const auto reason = static_cast<TokenRefusal>(i);
      out.push_back({fmt::format("reason=\"{}\"", token_refusal_name(reason)),
                     static_cast<double>(server.token_desk.refused(reason))});
    }
    out.push_back({"reason=\"rate\"", static_cast<double>(server.token_desk.limited())});
    return out;
  });
  metrics.add("quartermaster_nodes", [server] {
    std::map<std::string, int> count;
    for (const auto& node : server.store.snapshot()->list<pb::Node>()) {
      const std::string state = word(node->status().health().state());
      ++count[state.empty() ? "unknown" : state];
    }
    Samples out;
    for (const auto& [state, nodes] : count)
      out.push_back({fmt::format("state=\"{}\"", state), static_cast<double>(nodes)});
    return out;
  });
}

}  // namespace frameworks
