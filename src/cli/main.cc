// The operator's command line. Everything it does goes through the API.
#include <unistd.h>

#include <iostream>

#include "cli/app.h"
#include "cli/interrupts.h"

namespace {

bool confirm(const std::string& question) {
  std::cerr << question << " [y/N] ";
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

int main(int argc, char** argv) {
  frameworks::cli::Interrupts interrupts;
  frameworks::cli::Context context{.terminal = frameworks::cli::standard_terminal(),
                                   .profile = {},
                                   .clock = frameworks::system_clock(),
                                   .stop = interrupts.token(),
                                   .on_interrupt = [&] { interrupts.take_over(); }};
  if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1) context.confirm = confirm;
  return frameworks::cli::run_cli({argv + 1, argv + argc}, context);
}
