// What YAML and JSON have in common: a tree of values that remembers its lines. Both are turned
// into this, and one reader fills messages from it, so that both accept the same shapes.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

class FieldLines;

struct Tree {
  enum class Type { kNull, kBoolean, kInteger, kNumber, kString, kList, kMap };
  struct Member;

  Type type = Type::kNull;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;  // also set for kInteger
  std::string text;   // of every scalar as it was written
  std::vector<Tree> items;
  std::vector<Member> members;
  int line = 0;  // 0: unknown

  [[nodiscard]] const Tree* find(std::string_view key) const;
  // "a list", "number 15", "string \"x\"": for messages.
  [[nodiscard]] std::string describe() const;
};

struct Tree::Member {
  std::string key;
  Tree value;
  int line = 0;
};

Tree tree_from_json(const boost::json::value& json);

// Collects violations with their lines while a message is filled.
struct TreeProblems {
  std::vector<Violation> violations;
  void add(const Tree& at, std::string field, std::string message) {
    violations.push_back({{}, at.line, {}, std::move(field), std::move(message)});
  }
};

// Fills `message`. A kind's message takes apiVersion and kind, which must match where they are
// given. `lines`, when given, gets the line of every field.
void read_message(const Tree& tree, Message& message, TreeProblems& problems,
                  FieldLines* lines = nullptr);

// "spec.features" and "dark-mode" → "spec.features.dark-mode"; other keys are quoted in brackets.
std::string field_path(std::string_view parent, std::string_view key);

}  // namespace frameworks
