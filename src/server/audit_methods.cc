// The audit log: who changed what, and whether that is still what was written.
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <charconv>

#include "base/text.h"
#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/audit_api.pb.h"
#include "frameworks/v1/audit_record.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/delta.h"
#include "server/handlers.h"
#include "store/audit_verify.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

constexpr int kPage = 100;
// Entries that one page looks at: some 50 ms.
constexpr int64_t kLooks = 20'000;
constexpr size_t kRows = 1'000;

Error bad_field(const std::string& field, std::string message) {
  return Error::invalid({{{}, 0, "", field, std::move(message)}});
}

// What a list is about.
class AuditFilter {
 public:
  static Result<AuditFilter> make(const pb::ListAuditRequest& request) {
    AuditFilter out;
    out.actor_ = request.actor();
    out.tenant_ = request.tenant();
    out.status_ = request.status();
    if (request.object().empty()) return out;
    const std::vector<std::string> words = split(request.object(), '/');
    const Kind* kind = find_kind(words[0]);
    if (kind == nullptr || words.size() > 3)
      return bad_field("object",
                       fmt::format("\"{}\" is no object: give \"Kind\", \"Kind/name\" or "
                                   "\"Kind/tenant/name\"",
                                   request.object()));
    out.kind_ = kind->name;
    if (words.size() > 1) out.name_ = words.back();
    if (words.size() > 2) out.owner_ = words[1];
    return out;
  }
  // Only what happened from then on.
  void limit_to(WallTime since) {
    since_us_ = std::max(since_us_, std::chrono::duration_cast<std::chrono::microseconds>(
                                        since.time_since_epoch())
                                        .count());
  }
  void limit_to(const google::protobuf::Timestamp& since) {
    since_us_ = std::max<int64_t>(since_us_, TimeUtil::TimestampToMicroseconds(since));
  }

  // Nothing before this entry matches: times never go back.
  [[nodiscard]] bool ends_at(const pb::AuditRecord& record) const {
    return record.time_us() < since_us_;
  }
  [[nodiscard]] bool matches(const pb::AuditRecord& record) const {
    const bool by_person = record.actor().starts_with("account/");
    return (actor_.empty() || record.actor() == actor_) &&
           (kind_.empty() || record.kind() == kind_) && (name_.empty() || record.name() == name_) &&
           (owner_.empty() || record.tenant() == owner_) &&
           (tenant_.empty() || record.tenant() == tenant_ ||
            (record.kind() == "Tenant" && record.name() == tenant_)) &&
           (status_ || by_person || !record.status_only());
  }

 private:
  std::string actor_;
  std::string kind_;
  std::string name_;
  std::string owner_;
  std::string tenant_;
  bool status_ = false;
  int64_t since_us_ = INT64_MIN;
};

std::string action_word(pb::AuditAction action) {
  constexpr std::string_view kPrefix = "AUDIT_ACTION_";
  return to_lower(pb::AuditAction_Name(action)).substr(kPrefix.size());
}

void fill_entry(const AuditRow& row, const pb::AuditRecord& record, pb::AuditEntry& out) {
  out.set_revision(revision_of(row.position));
  *out.mutable_time() = TimeUtil::MicrosecondsToTimestamp(record.time_us());
  out.set_actor(record.actor());
  out.set_source(record.source());
  out.set_action(action_word(record.action()));
  out.set_object(ResourceKey{record.kind(), record.tenant(), record.name()}.text());
  out.set_hash(hex_encode(row.hash));
  out.set_status_left_out(record.status_left_out());
  const Kind* kind = find_kind(record.kind());
  if (kind == nullptr) return;  // of a newer program: that it changed is all that can be told
  if (const auto changes = diff(*kind, record.before(), record.after()); changes)
    for (const pb::FieldChange& change : *changes) *out.add_changes() = change;
}

// A caller that is bound to a tenant: what was before the tenant is another's of the same name.
Status bind_to(const Fleet& fleet, const Caller& caller, AuditFilter& filter) {
  if (caller.tenant.empty()) return {};
  const SnapshotPtr snapshot = fleet.store.snapshot();
  const auto* tenant = snapshot->find<pb::Tenant>(caller.tenant);
  if (tenant == nullptr)
    return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", caller.tenant));
  filter.limit_to(tenant->metadata().create_time());
  return {};
}

// Platform people's addresses are not their tenants' business.
bool is_own(const Fleet& fleet, const Caller& caller, const std::string& actor) {
  constexpr std::string_view kAccount = "account/";
  if (caller.tenant.empty()) return true;
  if (!actor.starts_with(kAccount)) return false;
  const SnapshotPtr snapshot = fleet.store.snapshot();
  const auto* account = snapshot->find<pb::Account>(actor.substr(kAccount.size()));
  return account != nullptr && account->spec().tenant() == caller.tenant;
}

Result<AuditRange> range_of(const pb::ListAuditRequest& request) {
  AuditRange range{first_position(request.after_revision() + 1), INT64_MAX, true};
  if (request.before_revision() > 0) range.to = first_position(request.before_revision());
  if (request.page_token().empty()) return range;
  int64_t from = 0;
  const std::string& token = request.page_token();
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), from);
  if (error != std::errc() || end != token.data() + token.size() || from < 0)
    return bad_field("page_token", "it is none that a list gave: begin without one");
  range.to = std::min(range.to, from);
  return range;
}

Status list(const Fleet& fleet, const Caller& caller, const pb::ListAuditRequest& request,
            pb::ListAuditResponse& response) {
  ASSIGN_OR_RETURN(AuditFilter filter, AuditFilter::make(request));
  if (request.has_since()) filter.limit_to(request.since());
  RETURN_IF_ERROR(bind_to(fleet, caller, filter));
  ASSIGN_OR_RETURN(AuditRange range, range_of(request));
  const int page = request.page_size() == 0 ? kPage : request.page_size();
  int64_t looks = 0;
  size_t bytes = 0;
  while (looks < kLooks) {
    ASSIGN_OR_RETURN(const std::vector<AuditRow> rows, fleet.store.read_audit(range, kRows));
    if (rows.empty()) return {};
    for (const AuditRow& row : rows) {
      pb::AuditRecord record;
      if (row.record.empty()) return {};  // the anchor: what was before is gone
      if (!record.ParseFromString(row.record))
        return Error(Code::kDataLoss, fmt::format("the audit entry of revision {} cannot be read: "
                                                  "verify the audit log",
                                                  revision_of(row.position)));
      if (filter.ends_at(record)) return {};
      if (response.entries_size() == page || bytes > kAuditBytes) {
        response.set_next_page_token(std::to_string(range.to));
        return {};
      }
      range.to = row.position;
      ++looks;
      if (!filter.matches(record)) continue;
      pb::AuditEntry& entry = *response.add_entries();
      fill_entry(row, record, entry);
      if (!is_own(fleet, caller, entry.actor())) entry.clear_source();
      bytes += entry.ByteSizeLong();
    }
  }
  response.set_next_page_token(std::to_string(range.to));
  return {};
}

// "17:9f86d0…"
Result<std::map<Revision, std::string>> expected_of(const pb::VerifyAuditRequest& request) {
  std::map<Revision, std::string> out;
  for (const std::string& text : request.expect_hashes()) {
    const size_t colon = text.find(':');
    Revision revision = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + std::min(colon, text.size()), revision);
    const auto hash = hex_decode(colon == std::string::npos ? "" : text.substr(colon + 1));
    if (error != std::errc() || colon == std::string::npos || end != text.data() + colon ||
        !hash || hash->size() != 32)
      return bad_field("expect_hashes",
                       fmt::format("\"{}\": give REVISION:HASH, the hash as 64 hex digits", text));
    out[revision] = *hash;
  }
  return out;
}

Status verify(const Fleet& fleet, const pb::VerifyAuditRequest& request,
              pb::VerifyAuditResponse& response) {
  ASSIGN_OR_RETURN(auto expected, expected_of(request));
  const Revision newest = fleet.store.revision();
  const AuditReader read = [&](const AuditRange& range, size_t limit) {
    return fleet.store.read_audit(range, limit);
  };
  ASSIGN_OR_RETURN(const AuditVerdict verdict, verify_audit(read, newest, std::move(expected)));
  response.set_start_revision(verdict.start);
  response.set_last_revision(revision_of(verdict.head.position));
  response.set_entries(verdict.entries);
  response.set_problem(verdict.problem);
  response.set_hash(hex_encode(verdict.head.hash));
  return {};
}

}  // namespace

void add_audit_methods(Api& api, const Fleet& fleet) {
  api.add<pb::ListAuditRequest, pb::ListAuditResponse>(
      "frameworks.v1.Audit/List", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return list(fleet, caller, request, response);
      });
  api.add<pb::VerifyAuditRequest, pb::VerifyAuditResponse>(
      "frameworks.v1.Audit/Verify", Runs::kWorker,
      [fleet](const Caller&, const auto& request, auto& response) {
        return verify(fleet, request, response);
      });
}

}  // namespace frameworks
