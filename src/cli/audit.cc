#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "cli/commands.h"
#include "frameworks/v1/audit_api.grpc.pb.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

using google::protobuf::util::TimeUtil;

struct ListOptions {
  std::string actor;
  std::string object;
  std::string tenant;
  std::string since;
  int64_t before = 0;
  int64_t after = 0;
  int limit = 100;
  bool status = false;
  bool follow = false;
};

Colour colour_of_action(const std::string& action) {
  if (action == "create") return Colour::kGreen;
  return action == "update" ? Colour::kYellow : Colour::kRed;
}

void print_entry(const Terminal& terminal, const pb::AuditEntry& entry) {
  const WallTime time{std::chrono::microseconds(TimeUtil::TimestampToMicroseconds(entry.time()))};
  terminal.out << terminal.paint(Colour::kGrey, rfc3339(time)) << "  r" << entry.revision() << "  "
               << terminal.paint(colour_of_action(entry.action()), entry.action()) << " "
               << entry.object() << "  by " << entry.actor()
               << (entry.source().empty() ? "" : " from " + entry.source()) << "\n";
  const auto value = [](const std::string& text) { return text.empty() ? "-" : clip(text, 60); };
  for (const pb::FieldChange& change : entry.changes())
    terminal.out << fmt::format("    {}: {} -> {}\n", change.field(), value(change.before()),
                                value(change.after()));
  if (entry.status_left_out()) terminal.out << "    status: too much to keep\n";
}

void print(const Context& context, const pb::AuditEntry& entry) {
  if (context.json)
    context.terminal.out << json_text(to_json(entry)) << "\n";
  else
    print_entry(context.terminal, entry);
}

Result<pb::ListAuditRequest> request_of(const Context& context, const ListOptions& options) {
  pb::ListAuditRequest request;
  request.set_actor(options.actor);
  request.set_object(options.object);
  request.set_tenant(options.tenant);
  request.set_before_revision(options.before);
  request.set_after_revision(options.after);
  request.set_status(options.status);
  if (options.since.empty()) return request;
  ASSIGN_OR_RETURN(const Duration since, parse_duration(options.since));
  const auto from = std::chrono::floor<std::chrono::microseconds>(context.clock.wall() - since);
  *request.mutable_since() = TimeUtil::MicrosecondsToTimestamp(from.time_since_epoch().count());
  return request;
}

Result<int> list(Context& context, const ListOptions& options) {
  ASSIGN_OR_RETURN(pb::ListAuditRequest request, request_of(context, options));
  ASSIGN_OR_RETURN(const auto client, context.connect());
  const auto stub = client->stub<pb::Audit>();
  const Terminal& terminal = context.terminal;
  int left = options.limit;
  while (left > 0) {
    request.set_page_size(std::min(left, 1'000));
    ASSIGN_OR_RETURN(const pb::ListAuditResponse page,
                     client->call(*stub, &pb::Audit::StubInterface::List, request));
    for (const pb::AuditEntry& entry : page.entries()) print(context, entry);
    left -= page.entries_size();
    if (page.next_page_token().empty()) return kExitOk;
    request.set_page_token(page.next_page_token());
  }
  terminal.err << fmt::format("there may be more: --limit has {}\n", options.limit);
  return kExitOk;
}

using AuditStub = pb::Audit::StubInterface;

// At most `limit` entries, newest first.
Result<std::vector<pb::AuditEntry>> read(const Client& client, AuditStub& stub,
                                         pb::ListAuditRequest request, size_t limit) {
  std::vector<pb::AuditEntry> out;
  while (true) {
    request.set_page_size(static_cast<int>(std::min<size_t>(limit - out.size(), 1'000)));
    ASSIGN_OR_RETURN(pb::ListAuditResponse page, client.call(stub, &AuditStub::List, request));
    for (pb::AuditEntry& entry : *page.mutable_entries()) out.push_back(std::move(entry));
    if (page.next_page_token().empty() || out.size() >= limit) return out;
    request.set_page_token(page.next_page_token());
  }
}

// The newest revision of which there is an entry at all.
Result<int64_t> newest(const Client& client, AuditStub& stub, const pb::ListAuditRequest& like) {
  pb::ListAuditRequest request;
  request.set_tenant(like.tenant());
  request.set_status(true);
  ASSIGN_OR_RETURN(const auto entries, read(client, stub, request, 1));
  return entries.empty() ? 0 : entries.front().revision();
}

// The newest `limit`, oldest first; then what comes, as it comes. A look costs what is new.
Result<int> follow(Context& context, const ListOptions& options) {
  ASSIGN_OR_RETURN(pb::ListAuditRequest request, request_of(context, options));
  ASSIGN_OR_RETURN(const auto client, context.connect());
  const auto stub = client->stub<pb::Audit>();
  size_t limit = static_cast<size_t>(std::max(options.limit, 1));
  while (true) {
    ASSIGN_OR_RETURN(const int64_t last, newest(*client, *stub, request));
    if (last > request.after_revision()) {
      request.set_before_revision(last + 1);
      ASSIGN_OR_RETURN(const auto entries, read(*client, *stub, request, limit));
      for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) print(context, *entry);
      context.terminal.out.flush();
      request.set_after_revision(last);
    }
    limit = std::numeric_limits<int>::max();
    if (!context.clock.sleep_for(std::chrono::seconds(1), context.stop)) return kExitOk;
  }
}

Result<int> verify(Context& context, const std::vector<std::string>& expected) {
  pb::VerifyAuditRequest request;
  for (const std::string& hash : expected) request.add_expect_hashes(hash);
  ASSIGN_OR_RETURN(const auto client, context.connect());
  const auto stub = client->stub<pb::Audit>();
  ASSIGN_OR_RETURN(
      const pb::VerifyAuditResponse verdict,
      client->call(*stub, &pb::Audit::StubInterface::Verify, request, std::chrono::hours(1)));
  const Terminal& terminal = context.terminal;
  if (context.json) {
    terminal.out << pretty_json(to_json(verdict)) << "\n";
  } else if (verdict.problem().empty()) {
    terminal.out << fmt::format("{}: {} entries, revisions {} to {}\n",
                                terminal.paint(Colour::kGreen, "whole"), verdict.entries(),
                                verdict.start_revision() + 1, verdict.last_revision());
    terminal.out << fmt::format("{}:{}\n", verdict.last_revision(), verdict.hash());
  } else {
    terminal.out << terminal.paint(Colour::kRed, "not as it was written") << ": "
                 << verdict.problem() << "\n";
  }
  return verdict.problem().empty() ? kExitOk : kExitFailure;
}

}  // namespace

Command audit_list_command() {
  return {
      .name = "audit list",
      .summary = "Say who changed what, newest first",
      .help =
          "Who, from where, what was there before and after; secrets are masked. What agents and\n"
          "reconcilers wrote into status is left out unless --status is given.",
      .examples = {{"audit list --object Tenant/acme", "the life of a tenant"},
                   {"audit list --object Node --since 1h",
                    "what happened to nodes in the last hour"},
                   {"audit list --actor account/ops --json", "for programs, a line each"},
                   {"audit list --follow --json", "to a log elsewhere, as it happens"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<ListOptions>();
        app.add_option("--actor", options->actor, "Only by this actor, e.g. account/ops");
        app.add_option("--object", options->object, "Only of Kind, Kind/name or Kind/tenant/name");
        app.add_option("--tenant", options->tenant, "Only the tenant and what it owns");
        app.add_option("--since", options->since, "Only of the last while, e.g. 30m, 12h, 7d");
        app.add_option("--before", options->before, "Only before this revision");
        app.add_option("--after", options->after, "Only after this revision");
        app.add_option("--limit", options->limit, "At most this many")->capture_default_str();
        app.add_flag("--status", options->status, "Also what the system wrote into status");
        app.add_flag("--follow,-f", options->follow,
                     "Oldest first, then what comes, until interrupted")
            ->excludes("--before");
        return [options](Context& context) {
          return options->follow ? follow(context, *options) : list(context, *options);
        };
      },
  };
}

Command audit_verify_command() {
  return {
      .name = "audit verify",
      .summary = "Check that the audit log is as it was written",
      .help =
          "Recomputes the chain of hashes over all entries. Prints REVISION:HASH of the newest: "
          "kept\n"
          "elsewhere and given to --expect-hash later, it proves that nothing before it was "
          "changed,\n"
          "not even by somebody who wrote the whole chain anew.",
      .examples = {{"audit verify", "all that is kept"},
                   {"audit verify --expect-hash 1042:9f86d0…", "and that it still has this hash"}},
      .setup = [](CLI::App& app) -> Run {
        auto expected = std::make_shared<std::vector<std::string>>();
        app.add_option("--expect-hash", *expected, "REVISION:HASH that was kept; may be repeated");
        return [expected](Context& context) { return verify(context, *expected); };
      },
  };
}

}  // namespace frameworks::cli
