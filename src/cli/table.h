// Aligned columns, two blanks apart, without lines.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace frameworks::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> titles) : titles_(std::move(titles)) {}
  // An empty cell shows "-".
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  void print(const Terminal& terminal, const std::string& indent = "") const;

 private:
  std::vector<std::string> titles_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace frameworks::cli
