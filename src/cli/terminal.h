// Where output goes, and what that place can show.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

namespace frameworks::cli {

enum class Colour { kNone, kRed, kGreen, kYellow, kBlue, kGrey, kBold };

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool live = false;     // standard output is a terminal that can move its cursor
  bool colours = false;  // never in pipes, with NO_COLOR or --no-color
  int width = 100;       // columns
  int height = 25;       // lines

  // The text in a colour where colours are on.
  [[nodiscard]] std::string paint(Colour colour, std::string_view text) const;
};

// Of this process's standard output and error.
Terminal standard_terminal();

// Columns that the text takes: code points, for our output has no wide ones.
size_t display_width(std::string_view text);
// At most `width` columns; what is cut off is replaced by "…".
std::string clip(std::string_view text, size_t width);
std::string pad(std::string_view text, size_t width);

// Colour of a word for health or state: healthy green, down red, ...
Colour colour_of_state(std::string_view state);

}  // namespace frameworks::cli
