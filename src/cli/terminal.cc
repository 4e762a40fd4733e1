#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace frameworks::cli {

std::string Terminal::paint(Colour colour, std::string_view text) const {
  if (!colours || colour == Colour::kNone || text.empty()) return std::string(text);
  const char* code = "";
  switch (colour) {
    case Colour::kRed:
      code = "31";
      break;
    case Colour::kGreen:
      code = "32";
      break;
    case Colour::kYellow:
      code = "33";
      break;
    case Colour::kBlue:
      code = "36";
      break;
    case Colour::kGrey:
      code = "90";
      break;
    default:
      code = "1";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

Terminal standard_terminal() {
  Terminal out{std::cout, std::cerr};
  const char* term = std::getenv("TERM");
  const char* no_colour = std::getenv("NO_COLOR");
  const bool capable = term != nullptr && std::string_view(term) != "dumb" && *term != '\0';
  out.live = isatty(STDOUT_FILENO) == 1 && capable;
  out.colours = out.live && (no_colour == nullptr || *no_colour == '\0');
  winsize size{};
  if (out.live && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    out.width = size.ws_col;
    out.height = size.ws_row;
  }
  return out;
}

size_t display_width(std::string_view text) {
  size_t out = 0;
  for (const char c : text)
    if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++out;
  return out;
}

std::string clip(std::string_view text, size_t width) {
  if (display_width(text) <= width) return std::string(text);
  std::string out;
  size_t columns = 0;
  for (const char c : text) {
    const bool starts = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    if (starts && ++columns >= width) break;
    out += c;
  }
  return width == 0 ? "" : out + "…";
}

std::string pad(std::string_view text, size_t width) {
  const size_t used = display_width(text);
  return std::string(text) + std::string(used < width ? width - used : 0, ' ');
}

Colour colour_of_state(std::string_view state) {
  const std::string_view word = state.substr(0, state.find(' '));
  if (word == "healthy" || word == "running" || word == "active" || word == "succeeded")
    return Colour::kGreen;
  if (word == "down" || word == "failed") return Colour::kRed;
  if (word == "degraded" || word == "suspect" || word == "suspended" || word == "cancelled")
    return Colour::kYellow;
  if (word == "unknown" || word == "pending" || word == "stopped") return Colour::kGrey;
  return Colour::kNone;
}

}  // namespace frameworks::cli
