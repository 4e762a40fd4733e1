#include "model/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <future>
#include <istream>
#include <iterator>
#include <map>
#include <streambuf>
#include <thread>

namespace frameworks {
namespace {

// Three levels of messages a level of a nested variable; protobuf reads 100 levels.
constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxAliasedNodes = 100'000;

bool parse_number(std::string_view text, Tree& out) {
  if (text.empty()) return false;
  const std::string_view digits = text.front() == '+' ? text.substr(1) : text;
  const char* end = digits.data() + digits.size();
  int64_t integer = 0;
  if (auto [at, error] = std::from_chars(digits.data(), end, integer);
      error == std::errc() && at == end) {
    out.type = Tree::Type::kInteger;
    out.integer = integer;
    out.number = static_cast<double>(integer);
    return true;
  }
  double number = 0;
  auto [at, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || at != end || !std::isfinite(number)) return false;
  out.type = Tree::Type::kNumber;
  out.number = number;
  return true;
}

// The core schema of YAML 1.2: "no" and "on" are strings.
Tree plain_scalar(const std::string& text) {
  Tree out;
  out.text = text;
  out.type = Tree::Type::kString;
  if (text == "null" || text == "~" || text.empty() || text == "Null" || text == "NULL") {
    out.type = Tree::Type::kNull;
  } else if (text == "true" || text == "True" || text == "TRUE") {
    out.type = Tree::Type::kBoolean;
    out.boolean = true;
  } else if (text == "false" || text == "False" || text == "FALSE") {
    out.type = Tree::Type::kBoolean;
  } else {
    parse_number(text, out);
  }
  return out;
}

size_t count_nodes(const Tree& tree) {
  size_t out = 1;
  for (const Tree& item : tree.items) out += count_nodes(item);
  for (const Tree::Member& member : tree.members) out += count_nodes(member.value);
  return out;
}

// Builds one document's tree from the parser's events. A refused part becomes null, so that the
// rest is still read.
class TreeBuilder final : public YAML::EventHandler {
 public:
  // `line`: how many lines stand before the text that is parsed.
  TreeBuilder(int line, std::vector<Violation>& violations)
      : before_(line), violations_(violations) {}

  bool empty() const { return !complete_; }
  Tree take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    emit(Tree(), mark, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {  // inside the node that it names
      fail(mark, "an alias of the node that contains it: write the value out");
      return emit(Tree(), mark, 0);
    }
    const bool fit = aliased_ <= kMaxAliasedNodes;
    aliased_ += found->second.size;
    if (aliased_ > kMaxAliasedNodes) {
      if (fit)
        fail(mark, fmt::format("aliases expand to more than {} nodes: write the values out",
                               kMaxAliasedNodes));
      return emit(Tree(), mark, 0);
    }
    emit(found->second.tree, mark, 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Tree out;
    if (tag == "?" || tag.empty()) {
      out = plain_scalar(value);
    } else {
      out.type = Tree::Type::kString;
      out.text = value;
      if (tag != "!" && tag != "tag:yaml.org,2002:str")
        fail(mark, fmt::format("tag {} is not allowed: remove it", tag));
    }
    emit(std::move(out), mark, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Tree::Type::kList, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Tree::Type::kMap, mark, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Tree tree;
    YAML::anchor_t anchor = 0;
    bool have_key = false;
    std::string key;
    int key_line = 0;
  };
  struct Anchored {
    Tree tree;
    size_t size = 0;
  };

  [[nodiscard]] int line_of(const YAML::Mark& mark) const { return before_ + mark.line + 1; }

  void fail(const YAML::Mark& mark, std::string message) {
    violations_.push_back({{}, line_of(mark), {}, {}, std::move(message)});
  }

  void open(Tree::Type type, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (stack_.size() >= kMaxDepth && !too_deep_) {
      too_deep_ = true;
      fail(mark, fmt::format("nested more than {} levels deep: flatten it", kMaxDepth));
    }
    Frame frame;
    frame.tree.type = type;
    frame.tree.line = line_of(mark);
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    // What lies too deep is dropped level by level, so that no reader ever recurses into it.
    if (stack_.size() >= kMaxDepth) frame.tree = Tree();
    add(std::move(frame.tree), frame.anchor);
  }

  void emit(Tree tree, const YAML::Mark& mark, YAML::anchor_t anchor) {
    tree.line = line_of(mark);
    add(std::move(tree), anchor);
  }

  void add(Tree tree, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = {tree, count_nodes(tree)};
    if (stack_.empty()) {
      root_ = std::move(tree);
      complete_ = root_.type != Tree::Type::kNull;
      return;
    }
    Frame& parent = stack_.back();
    if (parent.tree.type == Tree::Type::kList) {
      parent.tree.items.push_back(std::move(tree));
    } else if (!parent.have_key) {
      begin_member(parent, tree);
    } else {
      end_member(parent, std::move(tree));
    }
  }

  void begin_member(Frame& parent, const Tree& key) {
    parent.have_key = true;
    parent.key = key.text;
    parent.key_line = key.line;
    if (key.type == Tree::Type::kList || key.type == Tree::Type::kMap)
      violations_.push_back({{}, key.line, {}, {}, "a key must be a plain word"});
  }

  void end_member(Frame& parent, Tree value) {
    parent.have_key = false;
    if (const Tree* first = parent.tree.find(parent.key)) {
      violations_.push_back({{},
                             parent.key_line,
                             {},
                             {},
                             fmt::format("\"{}\" is given twice, first on line {}: remove one",
                                         parent.key, first->line)});
      return;
    }
    parent.tree.members.push_back({std::move(parent.key), std::move(value), parent.key_line});
  }

  const int before_;
  std::vector<Violation>& violations_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  size_t aliased_ = 0;
  bool too_deep_ = false;
  Tree root_;
  bool complete_ = false;
};

// Reads a string_view without copying it.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // never written: there is no overflow()
    setg(begin, begin, begin + text.size());
  }
};

// Documents of a stream, and how many lines stand before them.
struct Part {
  std::string_view text;
  int line = 0;
};

YamlStream parse_part(const Part& part) {
  YamlStream out;
  ViewBuffer buffer(part.text);
  std::istream stream(&buffer);
  try {
    YAML::Parser parser(stream);
    // Before a stray "," the parser finds an empty document without an end; a real one takes
    // "---\n".
    for (size_t left = part.text.size() / 4 + 2;; --left) {
      TreeBuilder builder(part.line, out.violations);
      if (!parser.HandleNextDocument(builder)) break;
      if (left == 0) {
        out.violations.push_back({{}, 1, {}, {}, "not YAML: it goes on where no document begins"});
        break;
      }
      if (!builder.empty()) out.documents.push_back(builder.take());
    }
  } catch (const YAML::Exception& error) {
    const int line = error.mark.is_null() ? 0 : error.mark.line + 1;
    out.violations.push_back(
        {{},
         line,
         {},
         {},
         fmt::format("not YAML: {} (column {})", error.msg, error.mark.column + 1)});
  }
  return out;
}

// The next "---" line from `at` on.
size_t find_document(std::string_view text, size_t at) {
  constexpr std::string_view kMark = "\n---";
  for (; (at = text.find(kMark, at)) != std::string_view::npos; at += kMark.size()) {
    const size_t end = at + kMark.size();
    if (end == text.size() || text[end] == '\n' || text[end] == ' ') return at + 1;
  }
  return at;
}

// A long stream in parts that can be parsed by themselves, one for each processor. Directives
// belong to documents after them: then it is one part.
std::vector<Part> parts_of(std::string_view text) {
  constexpr size_t kLong = 1 << 17;
  constexpr unsigned kMostParts = 4;
  std::vector<Part> out{{text}};
  if (text.size() < kLong || text.front() == '%' || text.find("\n%") != std::string_view::npos)
    return out;
  const size_t count = std::clamp(std::thread::hardware_concurrency(), 1U, kMostParts);
  for (size_t left = count - 1; left > 0; --left) {
    const Part rest = out.back();
    const size_t cut = find_document(rest.text, rest.text.size() / (left + 1));
    if (cut == std::string_view::npos) break;
    const std::string_view first = rest.text.substr(0, cut);
    const auto lines = std::count(first.begin(), first.end(), '\n');
    out.back().text = first;
    out.push_back({rest.text.substr(cut), rest.line + static_cast<int>(lines)});
  }
  return out;
}

}  // namespace

YamlStream parse_yaml(std::string_view text) {
  const std::vector<Part> parts = parts_of(text);
  std::vector<std::future<YamlStream>> others;
  for (size_t i = 1; i < parts.size(); ++i)  // one after the other where no thread is left
    others.push_back(std::async(std::launch::async | std::launch::deferred, parse_part, parts[i]));
  YamlStream out = parse_part(parts.front());
  bool good = out.violations.empty();
  for (auto& other : others) {
    YamlStream next = other.get();
    good &= next.violations.empty();
    std::move(next.documents.begin(), next.documents.end(), std::back_inserter(out.documents));
  }
  // What is wrong is told as of the whole: after an error nothing more is read.
  return good || others.empty() ? std::move(out) : parse_part({text});
}

}  // namespace frameworks
