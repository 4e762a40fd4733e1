// A customer of the platform. Written by operators; status.state by the runtime layer.
#include <fmt/format.h>

#include "frameworks/v1/tenant.pb.h"
#include "model/kinds.h"
#include "model/rules.h"
#include "model/snapshot.h"
#include "model/tree.h"
#include "model/words.h"

namespace frameworks {
namespace {

void defaults(pb::Tenant& tenant) {
  pb::TenantSpec& spec = *tenant.mutable_spec();
  if (spec.plan().empty()) spec.set_plan("default");
  if (spec.subdomain().empty()) spec.set_subdomain(tenant.metadata().name());
}

void validate(const pb::Tenant& tenant, Validation& out) {
  require_label_name(tenant.metadata(), out);
  const std::string& subdomain = tenant.spec().subdomain();
  for (const auto& other : out.snapshot().find_by<pb::Tenant>("subdomain", subdomain))
    if (other->metadata().name() < tenant.metadata().name())
      out.fail("spec.subdomain", fmt::format("\"{}\" belongs to Tenant/{} already: choose another",
                                             subdomain, other->metadata().name()));
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
            return std::vector<std::pair<std::string, std::string>>{
                {"subdomain", t.spec().subdomain()}};
          },
  });
}

}  // namespace frameworks
