#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/process.h"
#include "base/text.h"
#include "cli/app.h"
#include "cli/fake_quartermaster.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/documents.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

struct Said {
  int code = 0;
  std::string out;
  std::string err;
};

Said say(const std::string& line, const Profile& profile = {}) {
  std::ostringstream out;
  std::ostringstream err;
  Context context{.terminal = {out, err}, .profile = profile, .clock = system_clock()};
  std::vector<std::string> words;
  for (const std::string& word : split(line, ' '))
    if (!word.empty()) words.push_back(word);
  const int code = run_cli(words, context);
  return {code, out.str(), err.str()};
}

pb::OperationEvent event(int64_t sequence, std::string layer, std::string object,
                         std::string message, pb::OperationEventResult result) {
  pb::OperationEvent out;
  out.set_sequence(sequence);
  out.mutable_time()->set_seconds(1'700'000'000 + sequence);
  out.set_layer(std::move(layer));
  out.set_object(std::move(object));
  out.set_message(std::move(message));
  out.set_result(result);
  return out;
}

pb::Node node(const std::string& name, const std::string& cluster) {
  pb::Node out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_cluster(cluster);
  out.mutable_spec()->set_address("192.0.2.1");
  out.mutable_status()->mutable_health()->set_state(pb::HEALTH_HEALTHY);
  out.mutable_status()->mutable_agent()->set_simulated(true);
  return out;
}

class CliTest : public ::testing::Test {
 protected:
  CliTest() : directory_(TemporaryDirectory::make().value()) {}

  Said with_server(const std::string& line) { return say(line, server_.profile()); }
  std::string file(const std::string& name, std::string_view text) {
    const auto path = directory_.path() / name;
    CHECK(write_file(path, text).has_value());
    return path.string();
  }

  TemporaryDirectory directory_;
  FakeQuartermaster server_;
};

constexpr std::string_view kTenant =
    "apiVersion: frameworks/v1\nkind: Tenant\nmetadata:\n  name: acme\nspec:\n  plan: pro\n"
    "  primaryCluster: nowhere\n";

TEST(Commands, HaveExamplesThatTheirOptionsAccept) {
  std::ostringstream sink;
  Context context{.terminal = {sink, sink}, .profile = {}, .clock = system_clock()};
  for (const Command& command : all_commands()) {
    EXPECT_FALSE(command.summary.empty()) << command.name;
    EXPECT_FALSE(command.examples.empty()) << command.name;
    for (const Example& example : command.examples) {
      std::string selected;
      const auto app =
          make_app(context, [&](const Command& c, const cli::Run&) { selected = c.name; });
      const std::string line = example.line.substr(0, example.line.find_first_of("|>"));
      std::vector<std::string> words;
      for (const std::string& word : split(trim(line), ' ')) words.insert(words.begin(), word);
      EXPECT_NO_THROW(app->parse(words)) << example.line;
      EXPECT_TRUE(selected == command.name || example.line.find('|') != std::string::npos)
          << example.line << " runs " << selected;
    }
  }
}

TEST(Commands, AreAllInTheReference) {
  const Said said = say("docs");
  for (const Command& command : all_commands())
    EXPECT_EQ(said.out.find("## frameworks " + command.name + "\n") != std::string::npos,
              !command.hidden)
        << command.name;
}

TEST(Commands, CompleteInBash) {
  auto directory = TemporaryDirectory::make();
  ASSERT_TRUE(directory);
  const auto path = directory->path() / "completion";
  ASSERT_TRUE(write_file(path, say("completion bash").out));
  const auto complete = [&](const std::string& words, int at) {
    const auto output =
        run_checked({.argv = {"bash", "-c",
                              fmt::format("source {}; COMP_WORDS=({}); COMP_CWORD={}; _frameworks; "
                                          "echo ${{COMPREPLY[*]}}",
                                          path.string(), words, at)}});
    return output ? std::string(trim(*output)) : output.error().text();
  };
  EXPECT_EQ(complete("frameworks operation ''", 2), "list watch cancel");
  EXPECT_EQ(complete("frameworks get no", 2), "nodes");
  EXPECT_EQ(complete("frameworks apply --pr", 2), "--prune");
}

TEST(Commands, RefuseWhatTheyDoNotKnowAsBadInput) {
  EXPECT_EQ(say("frobnicate").code, kExitBadInput);
  EXPECT_EQ(say("get").code, kExitBadInput);
  EXPECT_EQ(say("get nodes -o xml").code, kExitBadInput);
  EXPECT_EQ(say("operation").code, kExitBadInput);
  EXPECT_EQ(say("--help").code, kExitOk);
  EXPECT_EQ(say("version").out.substr(0, 11), "frameworks ");
}

TEST_F(CliTest, ValidateNeedsNoServerAndTellsEveryLine) {
  const std::string path = file("a.yaml", kTenant);
  const Said said = say("validate -f " + path);
  EXPECT_EQ(said.code, kExitBadInput);
  EXPECT_EQ(said.err,
            path +
                ":7: Tenant/acme: spec.primaryCluster: Cluster \"nowhere\" does not exist: "
                "create it, or correct the name\n");
  EXPECT_EQ(said.out, "");
}

TEST_F(CliTest, TellsHowToStartAServerThatIsNotThere) {
  server_.stop();
  const Said said = with_server("get nodes");
  EXPECT_EQ(said.code, kExitUnreachable);
  EXPECT_NE(said.err.find(server_.profile().server), std::string::npos) << said.err;
  EXPECT_NE(said.err.find("start it with"), std::string::npos) << said.err;
}

TEST_F(CliTest, NamesTheTokenFileWhenTheServerRefusesTheToken) {
  Profile profile = server_.profile();
  profile.token_file = file("token", "wrong");
  const Said said = say("get nodes", profile);
  EXPECT_EQ(said.code, kExitFailure);
  EXPECT_NE(said.err.find("--token-file"), std::string::npos) << said.err;
}

TEST_F(CliTest, RefusesAServerOfAnotherAuthority) {
  FakeQuartermaster other;
  Profile profile = server_.profile();
  profile.ca_file = other.profile().ca_file;
  EXPECT_EQ(say("get nodes", profile).code, kExitUnreachable);
}

TEST_F(CliTest, ListsEveryPageAsAlignedColumns) {
  for (const char* name : {"core-1", "eu-regional-1", "eu-edge-1"})
    server_.fleet.put(Resource::of(node(name, "core")));
  const Said said = with_server("get nodes");
  EXPECT_EQ(said.code, kExitOk) << said.err;
  EXPECT_EQ(said.out,
            "NAME           CLUSTER  ADDRESS    MESH  HEALTH               REASON  MACHINE  AGE\n"
            "core-1         core     192.0.2.1  -     healthy (simulated)  -       -        -\n"
            "eu-edge-1      core     192.0.2.1  -     healthy (simulated)  -       -        -\n"
            "eu-regional-1  core     192.0.2.1  -     healthy (simulated)  -       -        -\n");
}

TEST_F(CliTest, PrintsJsonForProgramsAndYamlThatCanBeApplied) {
  server_.fleet.put(Resource::of(node("core-1", "core")));
  server_.fleet.put(Resource::of(node("core-2", "core")));
  const auto list = parse_json(with_server("get nodes -o json").out);
  ASSERT_TRUE(list);
  EXPECT_EQ(list->get_array().size(), 2u);
  const auto one = parse_json(with_server("get node core-1 --json").out);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->at("metadata").at("name").get_string(), "core-1");
  const auto documents = parse_documents(with_server("get nodes -o yaml").out, "got.yaml");
  ASSERT_TRUE(documents) << documents.error().text();
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ(documents->at(0).resource.as<pb::Node>().spec().address(), "192.0.2.1");
  EXPECT_EQ(with_server("get node core-3").code, kExitFailure);
}

TEST_F(CliTest, FindsWhatATenantOwnsWithoutItsNameWhereThereIsOne) {
  pb::Grant grant;
  grant.mutable_metadata()->set_name("edge");
  grant.mutable_metadata()->set_tenant("acme");
  server_.fleet.put(Resource::of(grant));
  EXPECT_EQ(with_server("get grant edge").code, kExitOk);
  grant.mutable_metadata()->set_tenant("globex");
  server_.fleet.put(Resource::of(grant));
  const Said said = with_server("get grant edge");
  EXPECT_EQ(said.code, kExitBadInput);
  EXPECT_NE(said.err.find("acme, globex: name one with --tenant"), std::string::npos) << said.err;
  EXPECT_EQ(with_server("get grant edge --tenant globex").code, kExitOk);
}

TEST_F(CliTest, PlanPrintsLayersDifferencesAndWhomTheyTouch) {
  pb::Plan& plan = *server_.apply_response.mutable_plan();
  auto add = [&](const char* layer, const char* action, const char* object, const char* summary) {
    pb::PlanStep& step = *plan.add_steps();
    step.set_layer(layer);
    step.set_action(action);
    step.set_object(object);
    step.set_summary(summary);
    return &step;
  };
  add("machine", "create", "core-1", "1 core, 512 MiB");
  pb::FieldChange& change = *add("model", "update", "Tenant/acme", "")->add_changes();
  change.set_field("spec.plan");
  change.set_before("\"free\"");
  change.set_after("\"pro\"");
  plan.mutable_blast_radius()->add_nodes("core-1");
  plan.mutable_blast_radius()->add_tenants("acme");
  const Said said = with_server("plan -f " + file("a.yaml", kTenant));
  EXPECT_EQ(said.code, kExitOk) << said.err;
  EXPECT_EQ(said.out,
            "model\n"
            "  ~ Tenant/acme  update\n"
            "      spec.plan: \"free\" -> \"pro\"\n"
            "machine\n"
            "  + core-1       create     1 core, 512 MiB\n"
            "\n"
            "model: 1 to update; machine: 1 to create\n"
            "touches 0 clusters, 1 node (core-1), 1 tenant (acme)\n");
  EXPECT_TRUE(server_.last_apply.dry_run());
}

TEST_F(CliTest, PlanSaysWhenThereIsNothingToChange) {
  server_.apply_response.mutable_plan()->set_revision(42);
  EXPECT_EQ(with_server("plan -f " + file("a.yaml", kTenant)).out,
            "nothing to change: the fleet is at revision 42\n");
}

TEST_F(CliTest, ShowsTheServersViolationsAtTheLineOfTheField) {
  pb::Violations details;
  pb::Violation& violation = *details.add_violations();
  violation.set_object("Tenant/acme");
  violation.set_field("spec.plan");
  violation.set_message("\"pro\" is sold out: choose another");
  server_.apply_status = {grpc::StatusCode::INVALID_ARGUMENT, "1 violation",
                          details.SerializeAsString()};
  const std::string path = file("a.yaml", kTenant);
  const Said said = with_server("apply -f " + path);
  EXPECT_EQ(said.code, kExitBadInput);
  EXPECT_EQ(said.err, path + ":6: Tenant/acme: spec.plan: \"pro\" is sold out: choose another\n");
}

TEST_F(CliTest, ApplyFollowsTheOperationAndGoesOnWhereTheStreamBroke) {
  server_.apply_response.set_operation("apply-1");
  server_.events = {event(1, "config", "", "configure", pb::OPERATION_EVENT_RESULT_STARTED),
                    event(2, "config", "core-1", "install", pb::OPERATION_EVENT_RESULT_CHANGED),
                    event(3, "config", "", "configure", pb::OPERATION_EVENT_RESULT_OK)};
  server_.events[1].set_done(1);
  server_.events[1].set_total(5);
  server_.break_after = 2;
  server_.final_status.set_state(pb::OPERATION_STATE_SUCCEEDED);
  const Said said = with_server("apply -f " + file("a.yaml", kTenant));
  EXPECT_EQ(said.code, kExitOk) << said.err;
  EXPECT_EQ(said.out,
            "operation apply-1\n"
            "22:13:21 config   configure\n"
            "22:13:22 config   core-1: install (changed) 1 of 5\n"
            "22:13:23 config   configure (ok)\n"
            "done in \n");
  EXPECT_EQ(server_.watches, 2);
  EXPECT_NE(said.err.find("the server is away"), std::string::npos);
}

TEST_F(CliTest, ExitsWithFourWhenTheOperationFailed) {
  server_.apply_response.set_operation("apply-1");
  server_.final_status.set_state(pb::OPERATION_STATE_FAILED);
  server_.final_status.set_error("core-1 cannot be reached");
  const std::string path = file("a.yaml", kTenant);
  const Said said = with_server("apply -f " + path);
  EXPECT_EQ(said.code, kExitOperationFailed);
  EXPECT_NE(said.err.find("core-1 cannot be reached"), std::string::npos);
  EXPECT_EQ(with_server("apply --detach -f " + path).code, kExitOk);
}

TEST_F(CliTest, PrintsAJoinTokenAloneSoThatItCanBePutIntoAFile) {
  EXPECT_EQ(with_server("token create --cluster edge").out, "jt-edge.opensesame\n");
  EXPECT_NE(with_server("token create --cluster edge --json").out.find("opensesame"),
            std::string::npos);
  EXPECT_EQ(with_server("token create --cluster edge --ttl soon").code, kExitBadInput);
}

TEST(Progress, ShowsStepBarAndEveryNodesTask) {
  std::ostringstream sink;
  const Terminal terminal{sink, sink};
  ProgressView view("apply-1");
  EXPECT_EQ(view.take(event(1, "config", "", "configure", pb::OPERATION_EVENT_RESULT_STARTED)), "");
  pb::OperationEvent task =
      event(2, "config", "core-1", "install", pb::OPERATION_EVENT_RESULT_STARTED);
  task.set_done(2);
  task.set_total(4);
  EXPECT_EQ(view.take(task), "");
  EXPECT_EQ(view.take(event(3, "config", "edge-1", "no route", pb::OPERATION_EVENT_RESULT_FAILED)),
            "config   edge-1: no route");
  const auto lines = view.lines(terminal, WallTime(std::chrono::seconds(1'700'000'012)));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "apply-1  configure  [##########----------] 2 of 4  11.0 s");
  EXPECT_EQ(lines[1], "  core-1  install  10.0 s");
  EXPECT_EQ(lines[2], "  edge-1  no route  failed");
}

TEST(Progress, FitsASmallWindow) {
  std::ostringstream sink;
  Terminal terminal{sink, sink};
  terminal.height = 8;
  terminal.width = 30;
  ProgressView view("apply-1");
  for (int i = 0; i < 50; ++i)
    view.take(event(i + 1, "config", "node-" + std::to_string(i), std::string(100, 'x'),
                    pb::OPERATION_EVENT_RESULT_STARTED));
  const auto lines = view.lines(terminal, WallTime(std::chrono::seconds(1'700'000'100)));
  EXPECT_LE(lines.size(), 8u);
  for (const std::string& line : lines) EXPECT_LE(display_width(line), 30u) << line;
}

TEST(Terminal, PaintsOnlyWhereColoursAreOn) {
  std::ostringstream sink;
  Terminal terminal{sink, sink};
  EXPECT_EQ(terminal.paint(Colour::kRed, "down"), "down");
  terminal.colours = true;
  EXPECT_EQ(terminal.paint(Colour::kRed, "down"), "\x1b[31mdown\x1b[0m");
  EXPECT_EQ(clip("žluťoučký", 5), "žluť…");
}

TEST_F(CliTest, StatusNamesTheServerThatAnswered) {
  server_.status_response.set_revision(7);
  server_.status_response.set_server("core-1:19002");
  server_.status_response.set_server_version("1.2");
  server_.status_response.mutable_uptime()->set_seconds(90);
  (*server_.status_response.mutable_nodes())["held"] = 2;
  const Said said = with_server("status");
  EXPECT_EQ(said.code, kExitOk) << said.err;
  EXPECT_NE(said.out.find("server     core-1:19002, version 1.2, up 1 m 30 s\n"), std::string::npos)
      << said.out;
  EXPECT_NE(said.out.find("nodes      2 held\n"), std::string::npos) << said.out;
  EXPECT_NE(with_server("status --json").out.find("\"server\": \"core-1:19002\""),
            std::string::npos);
}

}  // namespace
}  // namespace frameworks::cli
