#include "model/validate.h"

#include <algorithm>
#include <functional>
#include <future>
#include <iterator>
#include <set>

#include "model/field_rules.h"
#include "model/fleet_rules.h"

namespace frameworks {
namespace {

void check_resource(const Resource& resource, const Snapshot& after, const Snapshot* before,
                    std::vector<Violation>& out) {
  const Resource* old = before == nullptr ? nullptr : before->find(resource.key());
  Validation validation(after, {});
  check_field_rules(resource, old == nullptr ? nullptr : &old->message(), validation);
  if (resource.kind().validate) resource.kind().validate(resource.message(), validation);
  for (Violation& violation : validation.violations()) {
    violation.object = resource.key().text();
    out.push_back(std::move(violation));
  }
}

// What was found of some of the changed resources, each by itself.
struct Checked {
  std::vector<Violation> violations;
  std::vector<ResourceKey> removed;
};

Checked check_each(std::span<const ResourceKey> keys, const Snapshot& after,
                   const Snapshot* before) {
  Checked out;
  for (const ResourceKey& key : keys) {
    const Resource* resource = after.find(key);
    if (resource == nullptr)
      out.removed.push_back(key);
    else
      check_resource(*resource, after, before, out.violations);
  }
  return out;
}

// Where there are many, the second half is looked at beside the first.
void check_resources(FleetCheck& check, const Snapshot* before) {
  constexpr size_t kMany = 1000;
  const std::span<const ResourceKey> keys = check.changed;
  const size_t middle = keys.size() < kMany ? keys.size() : keys.size() / 2;
  // Deferred also where the system has no thread left.
  const auto policy =
      middle < keys.size() ? std::launch::async | std::launch::deferred : std::launch::deferred;
  auto rest = std::async(policy, check_each, keys.subspan(middle), std::cref(check.fleet), before);
  const auto add = [&](Checked checked) {
    std::move(checked.violations.begin(), checked.violations.end(),
              std::back_inserter(check.violations));
    std::move(checked.removed.begin(), checked.removed.end(), std::back_inserter(check.removed));
  };
  add(check_each(keys.first(middle), check.fleet, before));
  add(rest.get());
}

std::vector<Violation> violations_of(const Snapshot& after, std::span<const ResourceKey> changed,
                                     const Snapshot* before) {
  FleetCheck check{after, {changed.begin(), changed.end()}};
  std::sort(check.changed.begin(), check.changed.end());
  check.changed.erase(std::unique(check.changed.begin(), check.changed.end()), check.changed.end());
  check_resources(check, before);
  check_ranges(check);
  check_ports(check);
  check_dependencies(check);
  check_pools(check);
  check_addresses(check);
  check_tenants(check);
  check_removals(check);
  return std::move(check.violations);
}

void sort_violations(std::vector<Violation>& violations) {
  std::stable_sort(violations.begin(), violations.end(),
                   [](const Violation& a, const Violation& b) {
                     return std::tie(a.file, a.line, a.object) < std::tie(b.file, b.line, b.object);
                   });
}

}  // namespace

void apply_defaults(Message& message) {
  const Kind& kind = kind_of(message.GetDescriptor());
  if (kind.defaults) kind.defaults(message);
}

Resource with_defaults(const Resource& resource) {
  std::unique_ptr<Message> message(resource.message().New());
  message->CopyFrom(resource.message());
  apply_defaults(*message);
  return Resource(resource.kind(), std::shared_ptr<const Message>(std::move(message)));
}

Origins::Origins(const std::vector<Document>& documents) {
  for (const Document& document : documents)
    add(document.resource.key(), document.file, document.line, document.lines);
}

void Origins::add(const ResourceKey& key, std::string file, int line,
                  std::shared_ptr<const FieldLines> lines) {
  places_.try_emplace(key.text(), Place{std::move(file), line, std::move(lines)});
}

void Origins::place(Violation& violation) const {
  const auto found = places_.find(violation.object);
  if (found == places_.end()) return;
  const Place& place = found->second;
  const int line = place.lines == nullptr ? 0 : place.lines->find(violation.field);
  violation.file = place.file;
  violation.line = line == 0 ? place.line : line;
}

Status validate_fleet(const Snapshot& after, std::span<const ResourceKey> changed,
                      const Origins& origins, const Snapshot* before) {
  std::vector<Violation> violations = violations_of(after, changed, before);
  if (violations.empty()) return {};
  for (Violation& violation : violations) origins.place(violation);
  sort_violations(violations);
  return Error::invalid(std::move(violations));
}

Result<std::vector<Document>> check_fleet(const std::vector<std::string>& paths) {
  Reading reading = read_fleet(paths);
  std::vector<Violation> violations = std::move(reading.violations);
  for (Violation& duplicate : find_duplicates(reading.documents))
    violations.push_back(std::move(duplicate));
  Snapshot fleet;
  std::vector<ResourceKey> changed;
  for (const Document& document : reading.documents) {
    fleet.put(with_defaults(document.resource));
    changed.push_back(document.resource.key());
  }
  // What could not be read is told once, as unreadable, and not again as missing.
  std::set<std::pair<std::string, std::string>> told;
  for (const Violation& violation : violations) told.insert({violation.object, violation.field});
  const Status valid = validate_fleet(fleet, changed, Origins(reading.documents));
  if (!valid)
    for (const Violation& violation : valid.error().violations())
      if (!told.contains({violation.object, violation.field})) violations.push_back(violation);
  if (violations.empty()) return std::move(reading.documents);
  sort_violations(violations);
  return Error::invalid(std::move(violations));
}

}  // namespace frameworks
