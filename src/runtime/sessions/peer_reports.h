// What servers tell each other, beside the log, of the nodes that have their streams with them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/locked.h"
#include "model/snapshot.h"

namespace frameworks {

// A node lacks a section of its plan.
struct ReportedWait {
  std::string node;
  std::string plane;
  Revision since = 0;  // the oldest change that it lacks; 0: all of it
  std::string error;   // why, where it could not be applied
};

struct PeerReport {
  // Plans are as of this revision.
  Revision planned = 0;
  std::vector<ReportedWait> waiting{};
  // There are more than `waiting` tells.
  bool truncated = false;

  // As JSON, {"planned": 7, "waiting": [["node", "plane", 5, "error"], ...]}.
  [[nodiscard]] std::string text() const;
  // kInvalidArgument: is none.
  static Result<PeerReport> parse(std::string_view text);
};

// Threadsafe.
class PeerReports {
 public:
  // `report_of`: the report of a living server, as text, else nothing; null: there are no others.
  explicit PeerReports(std::function<std::string(const std::string& server)> report_of)
      : report_of_(std::move(report_of)) {}

  // Why `node`, whose stream is with `server`, does not have this plane as of `revision`; nothing:
  // it has. A server that tells nothing: "is not connected".
  [[nodiscard]] std::optional<std::string> lacks(const std::string& server, const std::string& node,
                                                 const std::string& plane, Revision revision);

 private:
  struct Parsed {
    std::string text;
    PeerReport report;
    // By node and plane, in `report`.
    std::map<std::pair<std::string, std::string>, const ReportedWait*> waits;
  };
  std::shared_ptr<const Parsed> parsed(const std::string& server);

  const std::function<std::string(const std::string&)> report_of_;
  Locked<std::map<std::string, std::shared_ptr<const Parsed>>> reports_;
};

}  // namespace frameworks
