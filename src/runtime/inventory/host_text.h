// What configures a host, as JSON text: the one place where a host's variables are written. Texts
// that many hosts have in common are made once, so that a fleet's inventory is mostly copying.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// Of one snapshot, which must outlive it. Not threadsafe.
class HostTexts {
 public:
  using Instances = std::vector<std::shared_ptr<const pb::Instance>>;
  explicit HostTexts(const Snapshot& snapshot) : snapshot_(snapshot) {}

  // Appends the object with the host's variables.
  void append(const pb::Node& node, const Instances& instances, std::string& out);
  // The same, with the instances that the snapshot has.
  std::string text(const pb::Node& node);
  // Hash of that text.
  std::string version(const pb::Node& node);
  // Name → text of each of the node's services. Good as long as this object.
  using Services = std::map<std::string, std::string>;
  const Services& services(const pb::Node& node);

 private:
  // Of nodes that run the same services.
  struct Common {
    std::string text;
    Services services;
  };
  const Common& common(const Instances& instances);
  const std::string& cluster_text(const std::string& cluster);

  const Snapshot& snapshot_;
  std::unordered_map<std::string, Common> common_;  // by services and their versions
  std::unordered_map<std::string, std::string> clusters_;
  std::string key_;
  std::string text_;
};

// Appends a JSON string, quoted and escaped.
void append_json(std::string& out, std::string_view text);

}  // namespace frameworks
