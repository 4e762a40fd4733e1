// The seam between whoever wants machines and whoever has them: local ones of frameworks-hostd
// today, a cloud's by Terraform later.
//
// All calls are idempotent, may come from any thread, and block: machines are ready when the call
// returns. Orders are checked by machine_rules.h on every side.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/hostd.pb.h"

namespace frameworks::provisioning {

struct EnsuredMachine {
  v1::LocalMachine machine;
  bool created = false;
};

class Machines {
 public:
  static constexpr std::chrono::seconds kPatience{30};

  virtual ~Machines() = default;

  // The network that machines live in: exactly these regions, with links as given. Returns the path
  // of the network namespace from which machines can be reached.
  virtual Result<std::string> ensure_fabric(const v1::EnsureFabricRequest& wanted) = 0;

  // Makes the machine exist, run and answer on SSH. Limits and keys of an existing one are changed.
  // kInvalidArgument, kFailedPrecondition (no such region, would have to move), kAlreadyExists
  // (address taken), kDeadlineExceeded.
  virtual Result<EnsuredMachine> ensure(const v1::MachineSpec& spec,
                                        std::chrono::milliseconds patience = kPatience) = 0;

  // Off as by pulling the plug; on from the same disk. kNotFound.
  virtual Result<v1::LocalMachine> set_power(const std::string& name, v1::MachinePower power,
                                             std::chrono::milliseconds patience = kPatience) = 0;

  // Gone with its disk. One that is not there is no error.
  virtual Status remove(const std::string& name) = 0;

  // Sorted by name.
  virtual Result<std::vector<v1::LocalMachine>> list() = 0;
};

}  // namespace frameworks::provisioning
