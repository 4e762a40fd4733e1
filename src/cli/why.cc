#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "frameworks/v1/diagnosis_api.grpc.pb.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

struct Answer {
  std::string object;  // "node/us-edge-1"
  pb::WhyResponse why;
};

Result<pb::WhyResponse> ask(Client& client, const std::string& kind, const std::string& name) {
  pb::WhyRequest request;
  request.set_kind(kind);
  request.set_name(name);
  return client.call(*client.stub<pb::Diagnosis>(), &pb::Diagnosis::StubInterface::Why, request);
}

// The one thing that has this name, of whatever kind.
Result<Answer> ask_all(Client& client, const std::string& name) {
  std::vector<Answer> found;
  for (const char* kind : {"node", "service", "instance", "cluster", "tenant"}) {
    auto why = ask(client, kind, name);
    if (why)
      found.push_back({fmt::format("{}/{}", kind, name), std::move(*why)});
    else if (why.error().code() != Code::kNotFound)
      return why.error();
  }
  if (found.size() == 1) return std::move(found.front());
  if (found.empty())
    return Error(
        Code::kNotFound,
        fmt::format("no node, service, instance, cluster or tenant is named \"{}\"", name));
  std::string all;
  for (const Answer& answer : found) all += (all.empty() ? "" : " or ") + answer.object;
  return Error(Code::kInvalidArgument,
               fmt::format("several things are named \"{}\": say {}", name, all));
}

Result<Answer> ask_for(Client& client, const std::string& thing, const std::string& name) {
  const size_t slash = thing.find('/');
  if (name.empty() && slash == std::string::npos) return ask_all(client, thing);
  const std::string kind = name.empty() ? thing.substr(0, slash) : thing;
  const std::string one = name.empty() ? thing.substr(slash + 1) : name;
  ASSIGN_OR_RETURN(pb::WhyResponse why, ask(client, kind, one));
  return Answer{to_lower(kind) + "/" + one, std::move(why)};
}

Colour colour_of(pb::Finding finding) {
  switch (finding) {
    case pb::FINDING_OK:
      return Colour::kGreen;
    case pb::FINDING_WARNING:
      return Colour::kYellow;
    case pb::FINDING_WRONG:
      return Colour::kRed;
    default:
      return Colour::kGrey;
  }
}

// Findings are told in columns that colours do not push apart.
void print_steps(const Terminal& terminal, const pb::WhyResponse& why) {
  size_t objects = 0;
  for (const pb::WhyStep& step : why.steps())
    objects = std::max(objects, display_width(step.object()));
  for (const pb::WhyStep& step : why.steps())
    terminal.out << pad(step.layer(), 9) << pad(step.object(), objects + 2)
                 << terminal.paint(colour_of(step.finding()), pad(word(step.finding()), 9))
                 << step.message() << "\n";
}

void print_answer(const Terminal& terminal, const Answer& answer) {
  const pb::WhyResponse& why = answer.why;
  if (why.first() < 0 || why.first() >= why.steps_size()) {
    terminal.out << terminal.paint(Colour::kGreen, "all is well") << " with " << answer.object
                 << ", as of revision " << why.revision() << "\n\n";
  } else {
    const pb::WhyStep& first = why.steps(why.first());
    terminal.out << terminal.paint(colour_of(first.finding()), first.object()) << " "
                 << first.message() << "\n";
    if (!first.next_step().empty()) terminal.out << "next: " << first.next_step() << "\n";
    terminal.out << "\n";
  }
  print_steps(terminal, why);
}

bool is_wrong(const pb::WhyResponse& why) {
  return why.first() >= 0 && why.first() < why.steps_size() &&
         why.steps(why.first()).finding() == pb::FINDING_WRONG;
}

}  // namespace

Command why_command() {
  return {
      .name = "why",
      .summary = "Name the first thing that is wrong with something, and what to do about it",
      .help =
          "Walks from the machine over its configuration to the runtime. THING is kind/name, or a "
          "name\n"
          "alone where only one node, service, instance, cluster or tenant has it.\n"
          "Findings: ok; warning (works, but not as it should, or is under way); wrong; unknown "
          "(cannot be\ntold because of something before it). Exit codes: 0 nothing is wrong, 1 "
          "something is, or the\nquestion failed.",
      .examples = {{"why node/us-edge-1", "machine, configuration, agent, health, instances"},
                   {"why service media", "placement, dependencies, rollout, instances"},
                   {"why acme", "when only one thing has that name"},
                   {"why tenant/acme --json", "for programs"}},
      .setup = [](CLI::App& app) -> Run {
        auto thing = std::make_shared<std::string>();
        auto name = std::make_shared<std::string>();
        app.add_option("THING", *thing, "kind/name, a name, or a kind")->required();
        app.add_option("NAME", *name, "Name, after a kind");
        return [thing, name](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const Answer answer, ask_for(*client, *thing, *name));
          if (context.json)
            context.terminal.out << pretty_json(to_json(answer.why)) << "\n";
          else
            print_answer(context.terminal, answer);
          return is_wrong(answer.why) ? kExitFailure : kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
