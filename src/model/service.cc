// What to run, where, and who may reach it. Written by operators.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "frameworks/v1/service.pb.h"
#include "model/kinds.h"
#include "model/orchestration_rules.h"
#include "model/rules.h"
#include "model/words.h"

namespace frameworks {
namespace {

constexpr int64_t kMaxCheckSeconds = 3600;

void set_seconds(google::protobuf::Duration& duration, int64_t seconds) {
  duration.set_seconds(seconds);
}

void defaults(pb::Service& service) {
  for (pb::Port& port : *service.mutable_spec()->mutable_ports()) {
    if (port.protocol() == pb::PROTOCOL_UNSPECIFIED) port.set_protocol(pb::PROTOCOL_TCP);
    if (port.exposure() == pb::EXPOSURE_UNSPECIFIED) port.set_exposure(pb::EXPOSURE_MESH);
  }
  const pb::Placement& placement = service.spec().placement();
  if ((placement.count() > 0 || placement.count_per_cluster() > 0) &&
      placement.spread() == pb::SPREAD_UNSPECIFIED)
    service.mutable_spec()->mutable_placement()->set_spread(pb::SPREAD_REGIONS);
  for (pb::Check& check : *service.mutable_spec()->mutable_checks()) {
    if (check.type() == pb::CHECK_TYPE_UNSPECIFIED) check.set_type(pb::CHECK_TYPE_TCP);
    if (check.type() == pb::CHECK_TYPE_HTTP && check.path().empty()) check.set_path("/");
    if (!check.has_interval()) set_seconds(*check.mutable_interval(), 1);
    if (!check.has_timeout()) set_seconds(*check.mutable_timeout(), 1);
    if (check.rise() == 0) check.set_rise(1);
    if (check.fall() == 0) check.set_fall(2);
  }
}

void validate_ports(const pb::ServiceSpec& spec, Validation& out) {
  std::set<std::string> names;
  std::map<std::pair<int, int>, int> taken;
  for (int i = 0; i < spec.ports_size(); ++i) {
    const pb::Port& port = spec.ports(i);
    const std::string field = fmt::format("spec.ports[{}]", i);
    if (!port.name().empty() && !names.insert(port.name()).second)
      out.fail(field + ".name",
               fmt::format("\"{}\" names another port already: rename one", port.name()));
    const auto [first, fresh] = taken.emplace(std::pair{port.protocol(), port.port()}, i);
    if (!fresh && port.port() != 0)
      out.fail(field + ".port",
               fmt::format("{} {} is already spec.ports[{}]: a port is taken once on a node",
                           word(port.protocol()), port.port(), first->second));
  }
}

void check_duration(const google::protobuf::Duration& value, const std::string& field,
                    Validation& out) {
  const bool positive =
      value.seconds() >= 0 && value.nanos() >= 0 && (value.seconds() > 0 || value.nanos() > 0);
  if (!positive || value.seconds() > kMaxCheckSeconds)
    out.fail(field, "a check's time is above 0s and at most 1h: change it");
}

bool needs_port(pb::CheckType type) {
  return type != pb::CHECK_TYPE_COMMAND && type != pb::CHECK_TYPE_PASSIVE;
}

// What is given for one type of check says nothing for another.
void validate_type(const pb::Check& check, const std::string& field, Validation& out) {
  const auto only_for = [&](bool given, pb::CheckType type, const char* what, const char* name) {
    if (given && check.type() != type)
      out.fail(fmt::format("{}.{}", field, name),
               fmt::format("a {} check has no {}: remove it, or set type {}", word(check.type()),
                           what, word(type)));
  };
  only_for(!check.path().empty(), pb::CHECK_TYPE_HTTP, "path", "path");
  only_for(check.command_size() > 0, pb::CHECK_TYPE_COMMAND, "command", "command");
  only_for(!check.grpc_service().empty(), pb::CHECK_TYPE_GRPC, "service of gRPC", "grpcService");
  if (check.type() == pb::CHECK_TYPE_COMMAND) {
    if (check.command_size() == 0)
      out.fail(field + ".command", "is missing: give a program and its arguments");
    else if (!check.command(0).starts_with("/"))
      out.fail(field + ".command[0]",
               fmt::format("\"{}\" is no absolute path: no shell looks for it", check.command(0)));
  }
  if (needs_port(check.type()) && check.port().empty())
    out.fail(field + ".port",
             fmt::format("is missing: a {} check needs a port of the service", word(check.type())));
  if (!needs_port(check.type()) && check.port().empty() && check.name().empty())
    out.fail(field + ".name",
             fmt::format("is missing: give the {} check a name", word(check.type())));
}

void validate_port_of_check(const pb::ServiceSpec& spec, const pb::Check& check,
                            const std::string& field, Validation& out) {
  if (check.port().empty()) return;
  std::vector<std::string> names;
  const pb::Port* found = nullptr;
  for (const pb::Port& port : spec.ports()) {
    names.push_back(port.name());
    if (port.name() == check.port()) found = &port;
  }
  if (found == nullptr)
    out.fail(field + ".port", fmt::format("\"{}\" is no port of the service: it has {}",
                                          check.port(), list_text(names)));
  else if (needs_port(check.type()) && found->protocol() == pb::PROTOCOL_UDP)
    out.fail(field + ".port",
             fmt::format("\"{}\" is a udp port: only tcp ports can be checked", check.port()));
  if (check.from_other_regions() &&
      (found == nullptr || found->exposure() != pb::EXPOSURE_PUBLIC || !needs_port(check.type())))
    out.fail(
        field + ".fromOtherRegions",
        "only a public port is reached from other regions: remove it, or choose a public port");
}

void validate_checks(const pb::ServiceSpec& spec, Validation& out) {
  std::set<std::string> names;
  for (int i = 0; i < spec.checks_size(); ++i) {
    const pb::Check& check = spec.checks(i);
    const std::string field = fmt::format("spec.checks[{}]", i);
    if (check.has_interval()) check_duration(check.interval(), field + ".interval", out);
    if (check.has_timeout()) check_duration(check.timeout(), field + ".timeout", out);
    // Checks of one port without names are told apart by their types.
    const std::string name = !check.name().empty()      ? check.name()
                             : needs_port(check.type()) ? check.port() + "/" + word(check.type())
                                                        : check.port();
    if (!name.empty() && !names.insert(name).second)
      out.fail(field + ".name",
               fmt::format("\"{}\" names another check already: give one of them a name", name));
    validate_type(check, field, out);
    validate_port_of_check(spec, check, field, out);
  }
}

void validate(const pb::Service& service, Validation& out) {
  require_label_name(service.metadata(), out);
  check_placement(service.spec().placement(), "spec.placement", out);
  const auto& apart = service.spec().placement().apart_from();
  if (std::find(apart.begin(), apart.end(), service.metadata().name()) != apart.end())
    out.fail("spec.placement.apartFrom",
             fmt::format("\"{}\" is the service itself, of which a node has one at most anyway: "
                         "remove it",
                         service.metadata().name()));
  validate_ports(service.spec(), out);
  validate_checks(service.spec(), out);
  check_drain_check(service.spec(), out);
  check_rollout_strategy(service.spec().rollout(), "spec.rollout", out);
}

std::string ports(const pb::Service& service) {
  std::vector<std::string> out;
  for (const pb::Port& port : service.spec().ports())
    out.push_back(fmt::format("{}{} {}", port.port(),
                              port.protocol() == pb::PROTOCOL_UDP ? "/udp" : "",
                              word(port.exposure())));
  return list_text(out);
}

std::string version(const pb::Service& service) {
  return service.spec().version().empty() ? "-" : service.spec().version();
}

}  // namespace

Kind service_kind() {
  return make_kind<pb::Service>({
      .defaults = defaults,
      .validate = validate,
      .columns = {{"NAME", [](const auto& s) { return s.metadata().name(); }},
                  {"ROLE", [](const auto& s) { return s.spec().role(); }},
                  {"VERSION", version},
                  {"PLACEMENT", [](const auto& s) { return placement_text(s.spec().placement()); }},
                  {"PORTS", ports},
                  {"DEPENDS ON", [](const auto& s) { return list_text(s.spec().depends_on()); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
