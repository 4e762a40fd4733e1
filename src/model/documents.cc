#include "model/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/file.h"
#include "model/json.h"
#include "model/registry.h"
#include "model/tree.h"
#include "model/yaml_tree.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMaxFileBytes = uintmax_t{64} << 20;

std::string kind_names() {
  std::vector<std::string> names;
  for (const Kind& kind : all_kinds())
    if (!kind.system_owned) names.push_back(kind.name);
  std::sort(names.begin(), names.end());
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

const Kind* read_header(const Tree& tree, TreeProblems& problems) {
  if (tree.type != Tree::Type::kMap) {
    problems.add(tree, {},
                 fmt::format("{} where a resource is wanted: begin with apiVersion and kind",
                             tree.describe()));
    return nullptr;
  }
  if (tree.find("apiVersion") == nullptr)
    problems.add(tree, "apiVersion", fmt::format("is missing: write {}", kApiVersion));
  const Tree* name = tree.find("kind");
  if (name == nullptr) {
    problems.add(tree, "kind", "is missing: use one of " + kind_names());
    return nullptr;
  }
  const Kind* kind = find_kind(name->text);
  if (kind == nullptr || kind->name != name->text) {
    problems.add(*name, "kind",
                 kind == nullptr
                     ? fmt::format("\"{}\" is unknown: use one of {}", name->text, kind_names())
                     : fmt::format("\"{}\" is unknown: did you mean {}?", name->text, kind->name));
    return nullptr;
  }
  if (kind->system_owned)
    problems.add(*name, "kind",
                 fmt::format("{} is written by the system only: remove the document", kind->name));
  return kind;
}

// What the store and the reconcilers write is not part of a fleet file's intent.
void drop_observed(const Kind& kind, Message& message) {
  const auto* status = kind.descriptor->FindFieldByName("status");
  if (status != nullptr) message.GetReflection()->ClearField(&message, status);
  pb::Metadata& metadata = kind.mutable_metadata(message);
  metadata.clear_uid();
  metadata.clear_revision();
  metadata.clear_generation();
  metadata.clear_create_time();
  metadata.clear_update_time();
  metadata.clear_delete_time();
  metadata.clear_finalizers();
}

void read_document(const Tree& tree, const std::string& file, Reading& out) {
  TreeProblems problems;
  std::string object;
  if (const Kind* kind = read_header(tree, problems)) {
    auto lines = std::make_shared<FieldLines>();
    std::unique_ptr<Message> message = kind->make();
    read_message(tree, *message, problems, lines.get());
    lines->seal();
    drop_observed(*kind, *message);
    const Resource resource(*kind, std::shared_ptr<const Message>(std::move(message)));
    object = resource.key().text();
    if (resource.name().empty()) {
      object = kind->name;
      const bool told =
          std::any_of(problems.violations.begin(), problems.violations.end(),
                      [](const Violation& v) { return v.field.starts_with("metadata"); });
      if (!told)
        problems.violations.push_back({{},
                                       std::max(lines->find("metadata"), tree.line),
                                       {},
                                       "metadata.name",
                                       "is missing: name the resource"});
    } else if (!kind->system_owned) {
      out.documents.push_back({resource, file, tree.line, std::move(lines)});
    }
  }
  for (Violation& violation : problems.violations) {
    violation.file = file;
    violation.object = object;
    if (violation.line == 0) violation.line = tree.line;
    out.violations.push_back(std::move(violation));
  }
}

void read_path(const std::string& path, Reading& out) {
  const auto fail = [&](std::string message) {
    out.violations.push_back({path, 0, {}, {}, std::move(message)});
  };
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) return fail(fmt::format("cannot be read: {}", error.message()));
  if (size > kMaxFileBytes)
    return fail(fmt::format("has {} MiB: a fleet file has at most {} MiB, split it", size >> 20,
                            kMaxFileBytes >> 20));
  const Result<std::string> text = read_file(path);
  if (!text) return fail(text.error().message());
  Reading reading = read_documents(*text, path);
  std::move(reading.documents.begin(), reading.documents.end(), std::back_inserter(out.documents));
  std::move(reading.violations.begin(), reading.violations.end(),
            std::back_inserter(out.violations));
}

// The *.yaml and *.yml below a folder, in order of their paths.
std::vector<std::string> files_below(const std::string& folder, Reading& out) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string extension = at->path().extension().string();
    std::error_code ignored;
    if ((extension == ".yaml" || extension == ".yml") && at->is_regular_file(ignored))
      files.push_back(at->path().string());
  }
  if (error)
    out.violations.push_back({folder, 0, {}, {}, "cannot be read: " + error.message()});
  else if (files.empty())
    out.violations.push_back({folder, 0, {}, {}, "has no *.yaml files: give a folder with some"});
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::vector<Document>> finish(Reading reading) {
  std::vector<Violation> duplicates = find_duplicates(reading.documents);
  std::move(duplicates.begin(), duplicates.end(), std::back_inserter(reading.violations));
  if (reading.violations.empty()) return std::move(reading.documents);
  std::stable_sort(reading.violations.begin(), reading.violations.end(),
                   [](const Violation& a, const Violation& b) {
                     return std::tie(a.file, a.line) < std::tie(b.file, b.line);
                   });
  return Error::invalid(std::move(reading.violations));
}

}  // namespace

void FieldLines::seal() {
  std::stable_sort(lines_.begin(), lines_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
}

int FieldLines::find(std::string_view path) const {
  while (true) {
    const auto at =
        std::lower_bound(lines_.begin(), lines_.end(), path,
                         [](const auto& entry, std::string_view p) { return entry.first < p; });
    if (at != lines_.end() && at->first == path) return at->second;
    const size_t cut = path.find_last_of(".[");
    if (cut == std::string_view::npos) return 0;
    path = path.substr(0, cut);
  }
}

Reading read_documents(std::string_view yaml, const std::string& file) {
  Reading out;
  YamlStream stream = parse_yaml(yaml);
  for (Violation& violation : stream.violations) {
    violation.file = file;
    out.violations.push_back(std::move(violation));
  }
  for (const Tree& tree : stream.documents) read_document(tree, file, out);
  return out;
}

Reading read_fleet(const std::vector<std::string>& paths) {
  Reading out;
  std::set<std::string> seen;  // "-f fleet -f fleet/core.yaml" reads core.yaml once
  for (const std::string& path : paths) {
    std::error_code error;
    const bool folder = fs::is_directory(path, error);
    for (const std::string& file : folder ? files_below(path, out) : std::vector{path}) {
      const fs::path canonical = fs::weakly_canonical(file, error);
      if (seen.insert(canonical.string()).second) read_path(file, out);
    }
  }
  return out;
}

std::vector<Violation> find_duplicates(const std::vector<Document>& documents) {
  std::vector<Violation> out;
  std::map<ResourceKey, const Document*> first;
  for (const Document& document : documents) {
    const auto [found, fresh] = first.emplace(document.resource.key(), &document);
    if (fresh) continue;
    const Document& other = *found->second;
    const int line =
        document.lines == nullptr ? document.line : document.lines->find("metadata.name");
    const std::string where =
        other.file.empty() ? "" : fmt::format(" in {}:{}", other.file, other.line);
    out.push_back(
        {document.file, line, found->first.text(), "metadata.name",
         fmt::format("\"{}\" is given already{}: rename or remove one", found->first.name, where)});
  }
  return out;
}

Result<std::vector<Document>> parse_documents(std::string_view yaml, const std::string& file) {
  return finish(read_documents(yaml, file));
}

Result<std::vector<Document>> load_fleet(const std::vector<std::string>& paths) {
  return finish(read_fleet(paths));
}

}  // namespace frameworks
