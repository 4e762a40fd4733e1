#include "history.h"

#include <fmt/format.h>

#include <boost/json.hpp>

namespace frameworks {
namespace {

namespace json = boost::json;

std::string string_of(const json::object& object, const char* field) {
  const auto* value = object.if_contains(field);
  return value == nullptr ? std::string() : std::string(value->as_string());
}

int64_t number_of(const json::object& object, const char* field, int64_t standard = 0) {
  const auto* value = object.if_contains(field);
  return value == nullptr || value->is_null() ? standard : value->to_number<int64_t>();
}

Operation operation_of(const json::object& line) {
  Operation operation;
  const std::string op = string_of(line, "op");
  const std::string outcome = string_of(line, "outcome");
  if (op == "cas")
    operation.kind = Operation::Kind::kCompareAndSet;
  else if (op == "read")
    operation.kind = Operation::Kind::kRead;
  else if (op != "write")
    throw std::invalid_argument("op \"" + op + "\"");
  if (outcome == "refused")
    operation.outcome = Operation::Outcome::kRefused;
  else if (outcome == "unknown")
    operation.outcome = Operation::Outcome::kUnknown;
  else if (outcome != "ok")
    throw std::invalid_argument("outcome \"" + outcome + "\"");
  operation.process = static_cast<int>(number_of(line, "process"));
  operation.key = string_of(line, "key");
  operation.value = string_of(line, "value");
  operation.invoked = number_of(line, "invoked");
  operation.returned = number_of(line, "returned", kNever);
  operation.revision = number_of(line, "revision");
  operation.expected = number_of(line, "expected");
  operation.as_of = number_of(line, "as_of");
  if (const auto* fresh = line.if_contains("fresh")) operation.fresh = fresh->as_bool();
  return operation;
}

LogEntry entry_of(const json::object& line) {
  return {number_of(line, "revision"), string_of(line, "key"), string_of(line, "value")};
}

void add(const json::object& line, History& history) {
  if (line.contains("op")) {
    history.operations.push_back(operation_of(line));
  } else if (line.contains("log")) {
    history.log.push_back(entry_of(line));
  } else {
    WatchRecord& watch = history.watches[string_of(line, "watch")];
    if (line.contains("from"))
      watch.from = number_of(line, "from");
    else if (line.contains("to"))
      watch.to = number_of(line, "to");
    else
      watch.events.push_back(entry_of(line));
  }
}

}  // namespace

std::string Operation::text() const {
  const std::string what =
      kind == Kind::kRead    ? fmt::format("read of \"{}\" at revision {}", value, revision)
      : kind == Kind::kWrite ? fmt::format("write of \"{}\"", value)
                             : fmt::format("write of \"{}\" over revision {}", value, expected);
  const std::string end = outcome == Outcome::kUnknown   ? "with unknown end"
                          : outcome == Outcome::kRefused ? "refused"
                          : writes() ? fmt::format("acknowledged as revision {}", revision)
                                     : fmt::format("answered as of revision {}", as_of);
  return fmt::format("key {}: {} by process {} ({}..{}), {}", key, what, process, invoked,
                     returned == kNever ? "never" : std::to_string(returned), end);
}

Result<History> read_history(std::istream& in) {
  History history;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    try {
      add(json::parse(line).as_object(), history);
    } catch (const std::exception& error) {
      return Error(Code::kInvalidArgument, fmt::format("line {}: {}", number, error.what()));
    }
  }
  return history;
}

}  // namespace frameworks
