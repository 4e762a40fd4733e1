#include "runtime/inventory/ansible.h"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <unordered_map>

#include "model/words.h"
#include "runtime/inventory/host_text.h"
#include "runtime/inventory/inventory.h"

namespace frameworks {
namespace {

void append_item(std::string& items, std::string_view name) {
  if (!items.empty()) items += ',';
  append_json(items, name);
}

// Group → its hosts, as the items of a JSON array.
class Groups {
 public:
  void add(const Host& host) {
    const std::string& name = host.node->metadata().name();
    for (std::string* group : of_cluster(*host.cluster)) append_item(*group, name);
    for (const auto& instance : host.instances)
      append_item(*of_service(instance->spec().service()), name);
  }
  [[nodiscard]] const std::map<std::string, std::string>& all() const { return groups_; }

 private:
  const std::vector<std::string*>& of_cluster(const pb::Cluster& cluster) {
    std::vector<std::string*>& out = clusters_[&cluster];
    if (out.empty())
      out = {&groups_[group_name("tier", word(cluster.spec().tier()))],
             &groups_[group_name("region", cluster.spec().region())],
             &groups_[group_name("cluster", cluster.metadata().name())]};
    return out;
  }
  std::string* of_service(const std::string& service) {
    std::string*& out = services_[service];
    if (out == nullptr) out = &groups_[group_name("service", service)];
    return out;
  }

  std::map<std::string, std::string> groups_;
  std::unordered_map<const pb::Cluster*, std::vector<std::string*>> clusters_;
  std::unordered_map<std::string, std::string*> services_;
};

}  // namespace

std::string ansible_text(const Snapshot& snapshot, const std::vector<Host>& hosts,
                         std::optional<Revision> revision) {
  HostTexts texts(snapshot);
  Groups groups;
  std::string names;
  std::string out = "{\"_meta\":{\"hostvars\":{";
  for (const Host& host : hosts) {
    if (host.node->spec().address().empty()) continue;
    const std::string& name = host.node->metadata().name();
    if (!names.empty()) out += ',';
    append_json(out, name);
    out += ':';
    texts.append(*host.node, host.instances, out);
    append_item(names, name);
    groups.add(host);
  }
  out += "}},\"all\":{\"hosts\":[" + names + "],\"children\":[";
  std::string children;
  for (const auto& [group, items] : groups.all()) append_item(children, group);
  out += children + ']';
  if (revision)
    fmt::format_to(std::back_inserter(out), ",\"vars\":{{\"frameworks_revision\":{}}}", *revision);
  out += '}';
  for (const auto& [group, items] : groups.all()) {
    out += ',';
    append_json(out, group);
    out += ":{\"hosts\":[" + items + "]}";
  }
  out += '}';
  return out;
}

}  // namespace frameworks
