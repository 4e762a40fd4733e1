// frameworks why: what it asks for, what it says, and how it exits.
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "cli/app.h"
#include "cli/fake_quartermaster.h"
#include "frameworks/v1/diagnosis_api.grpc.pb.h"

namespace frameworks::cli {
namespace {

// Answers what it was told to. The real one is tested in src/server.
class FakeDiagnosis final : public pb::Diagnosis::Service {
 public:
  grpc::Status Why(grpc::ServerContext*, const pb::WhyRequest* request,
                   pb::WhyResponse* response) override {
    if (!failure.ok()) return failure;
    const auto found = answers.find(request->kind() + "/" + request->name());
    if (found == answers.end()) return {grpc::StatusCode::NOT_FOUND, "not found"};
    *response = found->second;
    return grpc::Status::OK;
  }

  std::map<std::string, pb::WhyResponse> answers;
  grpc::Status failure;
};

pb::WhyStep step(const char* layer, const char* object, pb::Finding finding, const char* message,
                 const char* next_step = "") {
  pb::WhyStep out;
  out.set_layer(layer);
  out.set_object(object);
  out.set_finding(finding);
  out.set_message(message);
  out.set_next_step(next_step);
  return out;
}

class WhyCommand : public ::testing::Test {
 protected:
  int run(std::vector<std::string> words) {
    words.insert(words.begin(), "why");
    out_.str("");
    err_.str("");
    Context context{
        .terminal = {out_, err_}, .profile = server_.profile(), .clock = system_clock()};
    return run_cli(words, context);
  }
  void answer(const std::string& object, const std::vector<pb::WhyStep>& steps, int first) {
    pb::WhyResponse& response = diagnosis_.answers[object];
    for (const pb::WhyStep& each : steps) *response.add_steps() = each;
    response.set_first(first);
    response.set_revision(42);
  }
  // Its machine is off; what follows from that cannot be told.
  void answer_off(const std::string& object) {
    answer(object,
           {step("config", "Node/edge-1", pb::FINDING_OK, "configured"),
            step("machine", "Node/edge-1", pb::FINDING_WRONG, "its machine is switched off",
                 "frameworks node power-on edge-1"),
            step("runtime", "Instance/media.edge-1", pb::FINDING_UNKNOWN, "its node is down")},
           1);
  }

  FakeDiagnosis diagnosis_;
  FakeQuartermaster server_{{&diagnosis_}};
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(WhyCommand, NamesWhatIsWrongFirstThenTheNextStepThenTheWalk) {
  answer_off("node/edge-1");
  EXPECT_EQ(run({"node/edge-1"}), kExitFailure) << err_.str();
  EXPECT_EQ(out_.str(),
            "Node/edge-1 its machine is switched off\n"
            "next: frameworks node power-on edge-1\n"
            "\n"
            "config   Node/edge-1            ok       configured\n"
            "machine  Node/edge-1            wrong    its machine is switched off\n"
            "runtime  Instance/media.edge-1  unknown  its node is down\n");
}

TEST_F(WhyCommand, AWarningIsNoFailure) {
  answer("service/media",
         {step("runtime", "Service/media", pb::FINDING_WARNING, "a rollout is under way")}, 0);
  EXPECT_EQ(run({"service/media"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str().find("Service/media a rollout is under way\n\n"), 0u) << out_.str();
}

TEST_F(WhyCommand, WhatIsWellIsSaidToBe) {
  answer("tenant/acme", {step("runtime", "Tenant/acme", pb::FINDING_OK, "active")}, -1);
  EXPECT_EQ(run({"tenant/acme"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str().find("all is well with tenant/acme, as of revision 42\n"), 0u) << out_.str();
}

TEST_F(WhyCommand, ANameAloneIsEnoughWhereOneThingHasIt) {
  answer_off("node/edge-1");
  EXPECT_EQ(run({"edge-1"}), kExitFailure);
  EXPECT_NE(out_.str().find("switched off"), std::string::npos) << out_.str();
  EXPECT_EQ(run({"node", "edge-1"}), kExitFailure);
  EXPECT_NE(out_.str().find("switched off"), std::string::npos) << out_.str();

  answer("tenant/edge-1", {}, -1);
  EXPECT_EQ(run({"edge-1"}), kExitBadInput);
  EXPECT_NE(err_.str().find("say node/edge-1 or tenant/edge-1"), std::string::npos) << err_.str();
  EXPECT_EQ(run({"edge-2"}), kExitFailure);
  EXPECT_NE(err_.str().find("is named \"edge-2\""), std::string::npos) << err_.str();
}

TEST_F(WhyCommand, AQuestionThatFailsIsNotTakenForNothingFound) {
  diagnosis_.failure = {grpc::StatusCode::UNAVAILABLE, "the store is away"};
  EXPECT_EQ(run({"edge-1"}), kExitUnreachable);
  EXPECT_NE(err_.str().find("the store is away"), std::string::npos) << err_.str();
}

TEST_F(WhyCommand, JsonIsTheAnswerItself) {
  answer_off("node/edge-1");
  EXPECT_EQ(run({"node/edge-1", "--json"}), kExitFailure);
  EXPECT_NE(out_.str().find("\"nextStep\": \"frameworks node power-on edge-1\""), std::string::npos)
      << out_.str();
  EXPECT_NE(out_.str().find("\"first\": 1"), std::string::npos) << out_.str();
}

}  // namespace
}  // namespace frameworks::cli
