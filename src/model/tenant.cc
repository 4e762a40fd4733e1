// A customer of the platform. Written by operators; status by the runtime layer.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "frameworks/v1/tenant.pb.h"
#include "model/kinds.h"
#include "model/rules.h"
#include "model/snapshot.h"
#include "model/tree.h"
#include "model/words.h"

namespace frameworks {
namespace {

// Labels below the platform's zones that no tenant may have: names of the platform itself, and
// those that programs and people trust without looking.
constexpr std::array<std::string_view, 15> kReserved = {
    "admin", "api", "autoconfig", "autodiscover", "internal", "localhost", "mail", "mta-sts",
    "mx",    "ns1", "ns2",        "postmaster",   "status",   "wpad",      "www"};

void defaults(pb::Tenant& tenant) {
  pb::TenantSpec& spec = *tenant.mutable_spec();
  if (spec.plan().empty()) spec.set_plan("default");
  if (spec.subdomain().empty()) spec.set_subdomain(tenant.metadata().name());
}

void validate(const pb::Tenant& tenant, Validation& out) {
  require_label_name(tenant.metadata(), out);
  const std::string& subdomain = tenant.spec().subdomain();
  if (std::find(kReserved.begin(), kReserved.end(), subdomain) != kReserved.end())
    out.fail("spec.subdomain",
             fmt::format("\"{}\" is a name of the platform's own: choose another", subdomain));
  for (const auto& [name, value] : tenant.spec().features()) {
    using google::protobuf::Value;
    const bool scalar = value.kind_case() == Value::kBoolValue ||
                        value.kind_case() == Value::kNumberValue ||
                        value.kind_case() == Value::kStringValue;
    if (!scalar)
      out.fail(field_path("spec.features", name),
               "a feature is true, false, a number or a string: "
               "give one of them, or a feature for each part");
  }
}

std::string state(const pb::Tenant& tenant) {
  if (tenant.status().state() != pb::TENANT_STATE_UNSPECIFIED) return word(tenant.status().state());
  return tenant.spec().suspended() ? "suspended" : "active";
}

}  // namespace

Kind tenant_kind() {
  return make_kind<pb::Tenant>({
      .defaults = defaults,
      .validate = validate,
      .columns = {{"NAME", [](const auto& t) { return t.metadata().name(); }},
                  {"DISPLAY NAME", [](const auto& t) { return t.spec().display_name(); }},
                  {"PLAN", [](const auto& t) { return t.spec().plan(); }},
                  {"STATE", state},
                  {"LIMITS", [](const auto& t) { return limits_text(t.spec().limits()); }}},
      .index =
          [](const auto& t) {
            std::vector<std::pair<std::string, std::string>> out{
                {"subdomain", t.spec().subdomain()}};
            if (!t.metadata().uid().empty()) out.emplace_back("uid", t.metadata().uid());
            for (const std::string& domain : t.spec().domains()) out.emplace_back("domain", domain);
            if (!t.spec().domains().empty()) out.emplace_back("domains", "any");
            if (t.metadata().has_delete_time()) out.emplace_back("deleting", "yes");
            return out;
          },
  });
}

}  // namespace frameworks
