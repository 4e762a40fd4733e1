#include "config/system/playbook_output.h"

#include <gtest/gtest.h>

namespace frameworks {
namespace {

TEST(PlaybookOutput, TurnsLinesIntoEventsAndOutcomes) {
  std::vector<std::string> told;
  PlaybookOutput output([&](const ConfigureEvent& event) {
    told.push_back(event.host + " " + event.role + " " + event.task + " " +
                   std::string(task_result_name(event.result)) + " " + event.message);
  });
  output.line(R"({"event": "play", "name": "Site"})");
  output.line("[WARNING]: something that is not ours");
  output.line(
      R"({"event":"host","host":"a","role":"redis","task":"Run","result":"changed","message":"/etc/x"})");
  output.line(
      R"({"event":"host","host":"b","role":"","task":"Ping","result":"unreachable","message":"no route"})");
  EXPECT_FALSE(output.complete());
  EXPECT_FALSE(output.hosts().at("a").converged);
  output.line(R"({"event":"stats","hosts":{"a":{"changed":1,"failures":0,"unreachable":0},)"
              R"("b":{"changed":0,"failures":0,"unreachable":1}}})");
  EXPECT_TRUE(output.complete());
  EXPECT_EQ(told, (std::vector<std::string>{"a redis Run changed /etc/x",
                                            "b  Ping unreachable no route"}));
  EXPECT_TRUE(output.hosts().at("a").converged);
  EXPECT_EQ(output.hosts().at("a").changed, 1);
  EXPECT_EQ(output.hosts().at("b").error, "task Ping: no route");
  EXPECT_EQ(output.stray(), "[WARNING]: something that is not ours");
}

TEST(PlaybookOutput, AnErrorThatWasRescuedDoesNotStay) {
  PlaybookOutput output(nullptr);
  output.line(
      R"({"event":"host","host":"a","role":"","task":"Try","result":"failed","message":"no"})");
  output.line(
      R"({"event":"stats","hosts":{"a":{"changed":0,"failures":0,"unreachable":0,"rescued":1}}})");
  EXPECT_TRUE(output.hosts().at("a").converged);
  EXPECT_EQ(output.hosts().at("a").error, "");
}

TEST(PlaybookOutput, SurvivesWhatIsNotWhatItSeems) {
  PlaybookOutput output(nullptr);
  for (const char* line : {"", "{", "[]", "null", "{\"event\": 3}", "{\"event\": \"host\"}",
                           "{\"event\": \"host\", \"host\": 5, \"result\": \"ok\"}",
                           "{\"event\": \"stats\", \"hosts\": []}",
                           "{\"event\": \"stats\", \"hosts\": {\"a\": 7}}", "\xff\xfe"})
    output.line(line);
  EXPECT_TRUE(output.complete());
  EXPECT_FALSE(output.hosts().contains("a"));
}

}  // namespace
}  // namespace frameworks
