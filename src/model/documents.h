// Fleet files: YAML documents {apiVersion, kind, metadata, spec}, several a file.
//
// Status and what the store sets in metadata (uid, revision, ...) may be present, as in the output
// of `frameworks get -o yaml`, and is dropped. Anchors and aliases work. Bounded: a file of 64 MiB,
// 32 levels deep, and aliases that expand to 100,000 nodes a document.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

// Where the fields of one document stand: path → line.
class FieldLines {
 public:
  void add(std::string path, int line) { lines_.emplace_back(std::move(path), line); }
  // Call once after the last add().
  void seal();
  // Of the field, or of the nearest enclosing one that is written; 0 when there is none.
  [[nodiscard]] int find(std::string_view path) const;

 private:
  std::vector<std::pair<std::string, int>> lines_;
};

struct Document {
  Resource resource;
  std::string file;
  int line = 0;                               // of the document's first field
  std::shared_ptr<const FieldLines> lines{};  // absent for what did not come from a file
};

// What could be read, and everything that was wrong with the rest.
struct Reading {
  // Also those in which only some field is wrong, so that references to them hold.
  std::vector<Document> documents;
  std::vector<Violation> violations;
};
Reading read_documents(std::string_view yaml, const std::string& file);
Reading read_fleet(const std::vector<std::string>& paths);

// One violation for every document whose kind, tenant and name another has already.
std::vector<Violation> find_duplicates(const std::vector<Document>& documents);

// The same as an error when anything is wrong. A path is a file, or a folder whose *.yaml and *.yml
// are read in order of name, with its subfolders'. Names that are given twice are violations.
Result<std::vector<Document>> parse_documents(std::string_view yaml, const std::string& file);
Result<std::vector<Document>> load_fleet(const std::vector<std::string>& paths);

}  // namespace frameworks
