#include "cli/table.h"

#include <algorithm>

namespace frameworks::cli {

void Table::add(std::vector<std::string> cells) {
  cells.resize(titles_.size());
  for (std::string& cell : cells) {
    if (cell.empty()) cell.assign(1, '-');
    std::replace(cell.begin(), cell.end(), '\n', ' ');
  }
  rows_.push_back(std::move(cells));
}

void Table::print(const Terminal& terminal, const std::string& indent) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < titles_.size(); ++i) {
    widths.push_back(display_width(titles_[i]));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  const auto line = [&](const std::vector<std::string>& cells, bool title) {
    terminal.out << indent;
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool last = i + 1 == cells.size();
      const std::string text = last ? cells[i] : pad(cells[i], widths[i]);
      terminal.out << terminal.paint(title ? Colour::kBold : colour_of_state(cells[i]), text)
                   << (last ? "\n" : "  ");
    }
  };
  line(titles_, true);
  for (const auto& row : rows_) line(row, false);
}

}  // namespace frameworks::cli
