// Defaults, and everything a fleet must fulfil before it is written.
//
// Work grows with what changed; where a change can collide with any other resource (address ranges,
// ports, dependency cycles) with the resources of the kinds concerned, sorted: n log n.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/documents.h"
#include "model/snapshot.h"

namespace frameworks {

// Fills what the operator left out, by the message's kind. Idempotent.
void apply_defaults(Message& message);
Resource with_defaults(const Resource& resource);

// Where resources were read, so that violations name file and line.
class Origins {
 public:
  Origins() = default;
  explicit Origins(const std::vector<Document>& documents);
  void add(const ResourceKey& key, std::string file, int line,
           std::shared_ptr<const FieldLines> lines = nullptr);
  // Sets file and line of a violation whose object is known here.
  void place(Violation& violation) const;

 private:
  struct Place {
    std::string file;
    int line = 0;
    std::shared_ptr<const FieldLines> lines;
  };
  std::map<std::string, Place, std::less<>> places_;
};

// kInvalidArgument with every violation, in order of file, line and object. `changed` are the
// resources that differ from `before` (put or removed); `before` may be null where there is none
// (then nothing counts as immutable). `after` has its defaults applied.
Status validate_fleet(const Snapshot& after, std::span<const ResourceKey> changed,
                      const Origins& origins = {}, const Snapshot* before = nullptr);

// Reads the paths and validates them as a fleet of their own: what `frameworks validate` does.
Result<std::vector<Document>> check_fleet(const std::vector<std::string>& paths);

}  // namespace frameworks
