// The operator's command line. Everything it does goes through the API.
#include "cli/app.h"
#include "cli/interrupts.h"

int main(int argc, char** argv) {
  frameworks::cli::Interrupts interrupts;
  frameworks::cli::Context context{.terminal = frameworks::cli::standard_terminal(),
                                   .profile = {},
                                   .clock = frameworks::system_clock(),
                                   .stop = interrupts.token(),
                                   .on_interrupt = [&] { interrupts.take_over(); }};
  return frameworks::cli::run_cli({argv + 1, argv + argc}, context);
}
