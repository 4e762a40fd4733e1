#include "hostd/state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <sys/file.h>

#include <algorithm>

#include "base/clock.h"
#include "base/file.h"

namespace frameworks::hostd {
namespace fs = std::filesystem;
namespace {

template <typename Message>
Result<Message> read_message(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, read_file(path));
  Message out;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // written by a newer version
  const auto status = google::protobuf::util::JsonStringToMessage(text, &out, options);
  if (!status.ok())
    return Error(Code::kDataLoss,
                 fmt::format("{}: {}", path.string(), std::string(status.message())));
  return out;
}

Status write_message(const fs::path& path, const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok())
    return Error(Code::kInternal, fmt::format("{}: cannot be written as JSON", path.string()));
  return write_file(path, text, 0600);
}

}  // namespace

Result<v1::HostRecord> StateDirectory::read_host() const {
  return read_message<v1::HostRecord>(path_ / "host.json");
}
Status StateDirectory::write_host(const v1::HostRecord& state) const {
  return write_message(path_ / "host.json", state);
}
Result<v1::MachineRecord> StateDirectory::read_machine(const std::string& name) const {
  return read_message<v1::MachineRecord>(machine(name) / "machine.json");
}
Status StateDirectory::write_machine(const v1::MachineRecord& state) const {
  return write_message(machine(state.spec().name()) / "machine.json", state);
}
v1::SupervisorRecord StateDirectory::read_supervisor(const std::string& name) const {
  auto state = read_message<v1::SupervisorRecord>(machine(name) / "supervisor.json");
  return state ? *state : v1::SupervisorRecord();
}
Status StateDirectory::write_supervisor(const std::string& name,
                                        const v1::SupervisorRecord& state) const {
  return write_message(machine(name) / "supervisor.json", state);
}

std::vector<std::string> StateDirectory::list_machines() const {
  std::vector<std::string> out;
  std::error_code error;
  for (auto it = fs::directory_iterator(machines(), error);
       !error && it != fs::directory_iterator(); it.increment(error))
    out.push_back(it->path().filename());
  std::ranges::sort(out);
  return out;
}

Result<Fd> take_lock(const fs::path& path, std::chrono::milliseconds patience) {
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return errno_error(fmt::format("open {}", path.string()));
  const MonoTime deadline = system_clock().mono() + patience;
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (system_clock().mono() >= deadline)
      return Error(Code::kUnavailable, fmt::format("{}: held by another process", path.string()));
    system_clock().sleep_for(std::chrono::milliseconds(5), {});
  }
  return fd;
}

}  // namespace frameworks::hostd
