#include "agent/plan.h"

#include <fmt/format.h>

#include <array>

#include "base/file.h"
#include "base/log.h"
#include "config/mesh/mesh_changes.h"
#include "config/mesh/mesh_driver.h"
#include "config/mesh/names_driver.h"
#include "machine/network_security/firewall_driver.h"

namespace frameworks {
namespace {

// In the order in which they are applied: links before the filter that opens them, names after
// both.
constexpr std::array kSections = {"mesh", "firewall", "names", "checks", "tenancy"};

bool is_present(const std::string& name, const pb::PlanUpdate& update) {
  if (name == "mesh") return update.has_mesh();
  if (name == "firewall") return update.has_firewall();
  if (name == "names") return update.has_names();
  if (name == "checks") return update.has_checks();
  return update.has_tenancy();
}

void copy_section(const std::string& name, const pb::PlanUpdate& from, pb::PlanUpdate& to) {
  if (name == "mesh") *to.mutable_mesh() = from.mesh();
  if (name == "firewall") *to.mutable_firewall() = from.firewall();
  if (name == "names") *to.mutable_names() = from.names();
  if (name == "checks") *to.mutable_checks() = from.checks();
  if (name == "tenancy") *to.mutable_tenancy() = from.tenancy();
  const auto hash = from.section_hashes().find(name);
  if (hash != from.section_hashes().end()) (*to.mutable_section_hashes())[name] = hash->second;
}

}  // namespace

Plan::Plan(std::filesystem::path file, NodeDrivers drivers, std::string wireguard_key,
           Checks& checks, Tenancy& tenancy, DrainSessions& sessions, Clock& clock)
    : file_(std::move(file)),
      drivers_(std::move(drivers)),
      wireguard_key_(std::move(wireguard_key)),
      checks_(checks),
      tenancy_(tenancy),
      sessions_(sessions),
      clock_(clock),
      backend_(drivers_.wireguard->backend()) {}

Status Plan::apply_section(const std::string& name, const pb::PlanUpdate& update) {
  if (name == "mesh")
    return apply_mesh(update.mesh(), wireguard_key_, *drivers_.wireguard, drivers_.sysctl);
  if (name == "firewall") return apply_firewall(update.firewall(), *drivers_.packet_filter);
  if (name == "names") return apply_names(update.names(), drivers_.hosts);
  if (name == "checks") {
    checks_.set(update.checks());
    sessions_.set(update.checks());
  }
  if (name == "tenancy") tenancy_.set(update.tenancy());
  return {};
}

void Plan::restore() {
  if (!std::filesystem::exists(file_)) return;
  const auto content = read_file(file_);
  if (!content || !good_.ParseFromString(*content)) {
    spdlog::warn("last plan {}: unreadable; waiting for a new one", file_.string());
    good_.Clear();
    return;
  }
  Summary summary{.revision = good_.revision(), .hashes = {}, .errors = {}};
  for (const std::string name : kSections) {
    if (!is_present(name, good_)) continue;
    if (auto done = apply_section(name, good_); done) {
      const auto hash = good_.section_hashes().find(name);
      if (hash != good_.section_hashes().end()) summary.hashes[name] = hash->second;
    } else {
      spdlog::error("last plan: {}: {}", name, done.error().text());
      summary.errors[name] = done.error().message();
    }
  }
  spdlog::info("last plan: revision {} in force, {} of its sections failed", good_.revision(),
               summary.errors.size());
  summary_.with([&](Summary& present) { present = std::move(summary); });
}

// Where the update tells what changed of the mesh section, puts the whole in its place.
Status Plan::complete_mesh(pb::PlanUpdate& update) const {
  const std::string& since = update.mesh().changes_since();
  if (since.empty()) return {};
  const Summary present = summary();
  const auto in_force = present.hashes.find("mesh");
  if (in_force == present.hashes.end() || in_force->second != since)
    return Error(Code::kFailedPrecondition,
                 fmt::format("changes since {}, which is not in force here", since));
  ASSIGN_OR_RETURN(pb::MeshSection whole, with_changes(good_.mesh(), update.mesh()));
  const auto wanted = update.section_hashes().find("mesh");
  if (wanted == update.section_hashes().end() || mesh_hash(whole) != wanted->second)
    return Error(Code::kDataLoss,
                 fmt::format("with the changes since {} it is not what the server has", since));
  *update.mutable_mesh() = std::move(whole);
  return {};
}

pb::PlanAck Plan::apply(pb::PlanUpdate update) {
  const MonoTime begin = clock_.mono();
  pb::PlanAck ack;
  ack.set_revision(update.revision());
  Summary summary = this->summary();
  const Status mesh_known = complete_mesh(update);
  for (const std::string name : kSections) {
    if (!is_present(name, update)) continue;
    const bool known = name != "mesh" || mesh_known;
    if (auto done = known ? apply_section(name, update) : mesh_known; done) {
      copy_section(name, update, good_);
      summary.hashes[name] = (*good_.mutable_section_hashes())[name];
      summary.errors.erase(name);
      ack.add_applied(name);
    } else {
      spdlog::error("plan: revision {}: {}: {}", update.revision(), name, done.error().text());
      summary.hashes.erase(name);
      summary.errors[name] = done.error().message();
      (*ack.mutable_errors())[name] = done.error().message();
    }
  }
  good_.set_revision(update.revision());
  summary.revision = update.revision();
  summary_.with([&](Summary& present) { present = summary; });
  if (auto kept = write_file(file_, good_.SerializeAsString(), 0600); !kept)
    spdlog::error("plan: not kept on disk: {}", kept.error().text());
  ack.set_elapsed_us(
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.mono() - begin).count());
  return ack;
}

void Plan::refresh() {
  const Summary summary = this->summary();
  for (const std::string name : {"mesh", "firewall", "names"}) {
    // After a failure the server sends the wanted section again; the older one must not come
    // between.
    if (!is_present(name, good_) || summary.errors.contains(name)) continue;
    if (auto done = apply_section(name, good_); !done)
      spdlog::warn("refresh: {}: {}", name, done.error().text());
  }
}

Plan::Summary Plan::summary() const {
  return summary_.with([](const Summary& summary) { return summary; });
}

}  // namespace frameworks
