// Configures hosts with Ansible over SSH: runs the playbook of the collection frameworks.infra.
//
// Everything that a run needs is in a private directory that is gone after it: configuration,
// inventory, known host keys, secrets (0600), control sockets. Nothing of the user's own Ansible or
// SSH configuration has a say.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "config/system/configurator.h"

namespace frameworks {

struct AnsibleOptions {
  // Holds ansible_collections/frameworks/infra.
  std::filesystem::path collections;
  // The server's SSH key; empty: whatever ssh finds.
  std::filesystem::path private_key{};
  // How many hosts at once, at most.
  int forks = 50;
  std::string playbook = "frameworks.infra.site";
};

std::unique_ptr<Configurator> make_ansible_configurator(AnsibleOptions options);

}  // namespace frameworks
