// Fleets of any size, written through the store as a server would have written them, and the real
// server on them.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "frameworks/v1/tenant.pb.h"
#include "store/store.h"

namespace frameworks::bench {

struct FleetSize {
  int tenants = 1'000'000;
  int nodes = 10'000;
  int per_cluster = 50;
  int services = 10;
  // Nodes and instances are healthy, and the first service has an address to tell tenants of.
  bool serving = false;
};

std::string cluster_name(int number);
std::string tenant_name(int number);
std::string node_name(int number, const FleetSize& size);
pb::Tenant tenant_of(int number);
pb::Grant grant_of(int number, const FleetSize& size);

// Makes STATE/fleet.db. Three central nodes, three regional ones in each of four regions, the
// others at edges; a grant a tenant. Ends the process when it cannot.
void make_fleet(const std::filesystem::path& state, const FleetSize& size);
// An account "bench" (viewer) with a token; the token.
std::string make_token_in(Store& store);

// Of /proc: resident megabytes, and seconds of all processors used so far.
double resident_mb(pid_t pid);
double cpu_seconds(pid_t pid, double* in_user = nullptr);  // `in_user`: outside of the kernel
// The processors that this process may use.
std::vector<int> processors();
// Keeps the calling thread (and what it starts) on some of them.
void run_on(const std::vector<int>& which);

// A program that ends with this process, however that ends.
class Child {
 public:
  // `on`: processors; empty: any. Its output goes to `log`.
  Child(const std::vector<std::string>& argv, const std::vector<int>& on,
        const std::filesystem::path& log);
  ~Child();  // asks it to end, and waits
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();

 private:
  pid_t pid_ = -1;
};

// quartermaster on a state folder, on free ports.
class ServerProcess {
 public:
  // Returns when it serves; ends this process, with its log, when it does not.
  ServerProcess(const std::filesystem::path& state, const std::vector<int>& on,
                const std::vector<std::string>& options = {});
  [[nodiscard]] pid_t pid() const { return child_->pid(); }
  [[nodiscard]] int grpc_port() const { return grpc_; }
  [[nodiscard]] int rest_port() const { return rest_; }
  [[nodiscard]] double start_seconds() const { return seconds_; }

 private:
  std::unique_ptr<Child> child_;
  int grpc_ = 0;
  int rest_ = 0;
  double seconds_ = 0;
};

// A number from the environment, or what stands for it.
int env_or(const char* name, int otherwise);

}  // namespace frameworks::bench
