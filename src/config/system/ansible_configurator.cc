#include "config/system/ansible_configurator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "config/system/playbook_output.h"

namespace frameworks {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

// How long a connection is kept for the next task; closed at the end of the run in any case.
constexpr int kControlPersistSeconds = 60;

// The file form of an inventory: Ansible reads it without running anything.
// From {"_meta": {"hostvars": {HOST: VARS}}, GROUP: {"hosts": [HOST]}} to
// {"all": {"hosts": {HOST: VARS}, "children": {GROUP: {"hosts": {HOST: {}}}}}}.
json::object inventory_file(const json::object& inventory) {
  json::object hosts;
  if (const json::value* meta = inventory.if_contains("_meta");
      meta != nullptr && meta->is_object())
    if (const json::value* vars = meta->get_object().if_contains("hostvars");
        vars != nullptr && vars->is_object())
      hosts = vars->get_object();
  json::object children;
  for (const auto& [group, content] : inventory) {
    if (group == "_meta" || group == "all" || !content.is_object()) continue;
    const json::value* members = content.get_object().if_contains("hosts");
    if (members == nullptr || !members->is_array()) continue;
    json::object empty_vars;
    for (const json::value& member : members->get_array())
      if (member.is_string()) empty_vars[member.get_string()] = json::object();
    children[group] = json::object{{"hosts", std::move(empty_vars)}};
  }
  return {{"all", {{"hosts", std::move(hosts)}, {"children", std::move(children)}}}};
}

const json::object* variables_of(const json::object& inventory, const std::string& host) {
  const json::value* meta = inventory.if_contains("_meta");
  if (meta == nullptr || !meta->is_object()) return nullptr;
  const json::value* all = meta->get_object().if_contains("hostvars");
  if (all == nullptr || !all->is_object()) return nullptr;
  const json::value* found = all->get_object().if_contains(host);
  return found == nullptr ? nullptr : found->if_object();
}

// sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
std::string known_hosts(const ConfigureRun& run) {
  std::string text;
  for (const auto& [node, key] : run.host_keys) {
    const json::object* variables = variables_of(run.inventory, node);
    if (variables == nullptr || key.empty()) continue;
    const json::value* address = variables->if_contains("ansible_host");
    const json::value* port = variables->if_contains("ansible_port");
    if (address == nullptr || !address->is_string()) continue;
    const int64_t number = port != nullptr && port->is_int64() ? port->get_int64() : 22;
    const std::string name(address->get_string());
    text += number == 22 ? fmt::format("{} {}\n", name, key)
                         : fmt::format("[{}]:{} {}\n", name, number, key);
  }
  return text;
}

std::string variables_file(const ConfigureRun& run) {
  json::object out;
  if (!run.agent_server.empty()) {
    json::object tokens;
    for (const auto& [node, token] : run.join_tokens) tokens[node] = token;
    out = {{"agent_server", run.agent_server},
           {"agent_ca", run.agent_ca},
           {"agent_version", run.agent_version},
           {"agent_join_tokens", std::move(tokens)}};
  }
  return json::serialize(out);
}

// A short name: the path of a control socket has to fit in 107 bytes.
constexpr std::string_view kPrefix = "fwa";

// Holds the lock of a run's directory; the kernel gives it back when the process dies, however it
// does.
Result<Fd> lock(const fs::path& directory, int create) {
  Fd fd(open((directory / "lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | create, 0600));
  if (!fd.valid()) return errno_error(fmt::format("open {}/lock", directory.string()));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return errno_error(fmt::format("lock {}", directory.string()));
  return fd;
}

// Removes what runs of servers that were killed have left behind: secrets are in it.
void sweep_abandoned(const fs::path& parent) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(parent, failed)) {
    struct stat info {};
    if (!entry.path().filename().string().starts_with(fmt::format("{}.", kPrefix))) continue;
    if (lstat(entry.path().c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
        info.st_uid != geteuid())
      continue;
    if (lock(entry.path(), 0)) fs::remove_all(entry.path(), failed);
  }
}

// One run's private directory and what is in it.
class RunDirectory {
 public:
  static Result<RunDirectory> make(const AnsibleOptions& options, const ConfigureRun& run) {
    ASSIGN_OR_RETURN(TemporaryDirectory directory, TemporaryDirectory::make(kPrefix));
    RunDirectory out(std::move(directory));
    sweep_abandoned(out.directory_.path().parent_path());
    ASSIGN_OR_RETURN(out.lock_, lock(out.directory_.path(), O_CREAT));
    RETURN_IF_ERROR(out.write("ansible.cfg", out.configuration(options, run)));
    RETURN_IF_ERROR(out.write("hosts.json", json::serialize(inventory_file(run.inventory))));
    RETURN_IF_ERROR(out.write("variables.json", variables_file(run)));
    RETURN_IF_ERROR(out.write("known_hosts", known_hosts(run)));
    std::string limit;
    for (const std::string& host : run.hosts) limit += host + '\n';
    RETURN_IF_ERROR(out.write("limit", limit));
    return out;
  }

  [[nodiscard]] std::string file(std::string_view name) const {
    return (directory_.path() / name).string();
  }

  // Ends the SSH connections that were kept, so that nothing outlives the run.
  void close_connections() const {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(directory_.path() / "c", failed)) {
      const auto closed =
          frameworks::run({.argv = {"ssh", "-F", "none", "-o",
                                    "ControlPath=" + entry.path().string(), "-O", "exit", "closed"},
                           .timeout = std::chrono::seconds(5)});
      if (!closed)
        spdlog::debug("close connection {}: {}", entry.path().string(), closed.error().message());
    }
  }

 private:
  explicit RunDirectory(TemporaryDirectory directory) : directory_(std::move(directory)) {}

  Status write(std::string_view name, std::string_view content) const {
    return write_file(directory_.path() / name, content, 0600);
  }

  [[nodiscard]] std::string configuration(const AnsibleOptions& options,
                                          const ConfigureRun& run) const {
    const int forks = std::clamp(static_cast<int>(run.hosts.size()), 1, options.forks);
    std::string text = fmt::format(
        "[defaults]\n"
        "stdout_callback = frameworks.infra.events\n"
        "forks = {}\n"
        "gathering = explicit\n"
        "interpreter_python = /usr/bin/python3\n"
        "host_key_checking = True\n"
        "retry_files_enabled = False\n"
        "local_tmp = {}\n"
        "timeout = 10\n",
        forks, file("tmp"));
    if (!options.private_key.empty())
      text += fmt::format("private_key_file = {}\n", options.private_key.string());
    text += "[inventory]\nenable_plugins = yaml\n";
    text += fmt::format(
        "[ssh_connection]\n"
        "pipelining = True\n"
        "retries = 3\n"
        "control_path_dir = {}\n"
        "ssh_args = -F none -o ControlMaster=auto -o ControlPersist={}s -o UserKnownHostsFile={} "
        "-o GlobalKnownHostsFile=/dev/null -o PreferredAuthentications=publickey -o "
        "IdentitiesOnly=yes\n",
        file("c"), kControlPersistSeconds, file("known_hosts"));
    return text;
  }

  TemporaryDirectory directory_;
  Fd lock_;
};

// The end of what Ansible said on standard error: the reason, without its repeated advice.
std::string last_words(const std::string& err, const PlaybookOutput& output) {
  const size_t error = err.rfind("ERROR!");
  const std::string_view text =
      error == std::string::npos ? trim(err) : trim(std::string_view(err).substr(error));
  if (text.empty()) return output.stray().empty() ? "it said nothing" : output.stray();
  std::string line;
  for (const std::string& part : split(text, '\n'))
    if (!trim(part).empty()) line += (line.empty() ? "" : " | ") + std::string(trim(part));
  return line.substr(0, 600);
}

class AnsibleConfigurator final : public Configurator {
 public:
  explicit AnsibleConfigurator(AnsibleOptions options) : options_(std::move(options)) {}

  Result<ConfigureOutcome> configure(const ConfigureRun& run) override {
    if (run.hosts.empty()) return ConfigureOutcome{};
    ASSIGN_OR_RETURN(const RunDirectory directory, RunDirectory::make(options_, run));
    PlaybookOutput output(run.on_event);
    const auto ended =
        run_lines(command(directory, run), [&](std::string_view line) { output.line(line); });
    directory.close_connections();
    if (!ended) return ended.error().with_context("ansible-playbook");
    if (!output.complete())
      return Error(Code::kInternal, fmt::format("ansible-playbook ended with code {}: {}",
                                                ended->exit_code, last_words(ended->err, output)));
    ConfigureOutcome outcome;
    for (const std::string& host : run.hosts) {
      const auto found = output.hosts().find(host);
      outcome.hosts[host] =
          found != output.hosts().end()
              ? found->second
              : HostOutcome{.converged = false, .changed = 0, .error = "is not in the inventory"};
    }
    return outcome;
  }

 private:
  [[nodiscard]] Command command(const RunDirectory& directory, const ConfigureRun& run) const {
    return {.argv = {"ansible-playbook", "--inventory", directory.file("hosts.json"), "--limit",
                     "@" + directory.file("limit"), "--extra-vars",
                     "@" + directory.file("variables.json"), options_.playbook},
            // Ansible insists on UTF-8, and its colours would spoil messages.
            .environment = {{"ANSIBLE_CONFIG", directory.file("ansible.cfg")},
                            {"ANSIBLE_COLLECTIONS_PATH", options_.collections.string()},
                            {"ANSIBLE_HOME", directory.file("home")},
                            {"ANSIBLE_NOCOLOR", "1"},
                            {"LC_ALL", "C.UTF-8"}},
            .timeout = run.timeout,
            .stop = run.stop};
  }

  const AnsibleOptions options_;
};

}  // namespace

std::unique_ptr<Configurator> make_ansible_configurator(AnsibleOptions options) {
  return std::make_unique<AnsibleConfigurator>(std::move(options));
}

}  // namespace frameworks
