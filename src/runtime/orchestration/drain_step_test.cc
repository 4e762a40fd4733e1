#include "runtime/orchestration/drain_step.h"

#include <limits>

#include "frameworks/v1/tenant.pb.h"
#include "runtime/orchestration/rollout_world.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

class Drain : public RolloutWorld {
 protected:
  Drain() {
    add_nodes("eu", 2);
    add_service("media", "1");
    pb::Service service = *fleet_.snapshot().find<pb::Service>("media");
    service.mutable_spec()->mutable_drain_check();
    service.mutable_spec()->set_tenant_facing(true);
    fleet_.put(service);
  }
  void drain(const std::string& name, pb::Availability how = pb::AVAILABILITY_DRAINED,
             std::optional<Duration> deadline = {}) {
    pb::Node drained = node(name);
    drained.mutable_spec()->set_availability(how);
    drained.mutable_spec()->clear_drain_deadline();
    if (deadline) *drained.mutable_spec()->mutable_drain_deadline() = batch_time(now_ + *deadline);
    fleet_.put(drained);
  }
  std::optional<Duration> look(const std::string& name = "eu-1") {
    at(now_);
    return note_drain(fleet_, name);
  }
  void tell(int64_t sessions, const std::string& from = "eu-1",
            const std::string& about = "media.eu-1") {
    pb::Heartbeat heartbeat;
    (*heartbeat.mutable_sessions())[about] = sessions;
    note_sessions(fleet_, from, new_sessions(fleet_.snapshot(), from, heartbeat));
  }
  // Past the time in which the node is forgotten.
  void leave() {
    look();
    pass(kLeaving);
    look();
  }
  std::string drained(const std::string& name = "eu-1") {
    const pb::Node found = node(name);
    const pb::DrainStatus& drain = found.status().drain();
    return word(drain.state()) + (drain.message().empty() ? "" : ": " + drain.message());
  }
  int64_t sessions(const std::string& name = "media.eu-1") {
    return fleet_.snapshot().find<pb::Instance>(name)->status().sessions();
  }
};

TEST_F(Drain, TheNodeIsForgottenFirstThenItsSessionsAreAskedForAndWaitedFor) {
  EXPECT_EQ(look(), std::nullopt);
  EXPECT_FALSE(node("eu-1").status().has_drain());
  drain("eu-1");
  EXPECT_EQ(look(), kLeaving);
  EXPECT_EQ(drained(), "leaving: tenants are no longer sent to it");
  const pb::Service media = *fleet_.snapshot().find<pb::Service>("media");
  EXPECT_EQ(sessions_source(media, node("eu-1")), "");
  pass(kLeaving);
  look();
  look();
  EXPECT_EQ(drained(), "waiting: media.eu-1 has not told its sessions yet");
  EXPECT_EQ(sessions_source(media, node("eu-1")), "agent");
  EXPECT_EQ(sessions_source(media, node("eu-2")), "");
  tell(2);
  EXPECT_EQ(look(), std::nullopt);  // without a deadline it waits for as long as it takes
  EXPECT_EQ(drained(), "waiting: media.eu-1 has 2 sessions");
  EXPECT_EQ(node("eu-1").status().drain().sessions(), 2);
  tell(0);
  look();
  EXPECT_EQ(drained(), "drained");
  EXPECT_EQ(time_of(node("eu-1").status().drain().end_time()), now_);
}

TEST_F(Drain, TheDeadlineGivesUpWhatIsLeftAndSaysWhatThatIs) {
  drain("eu-1", pb::AVAILABILITY_DRAINED, 60s);
  leave();
  tell(3);
  EXPECT_EQ(look(), 58s);
  EXPECT_FALSE(gives_up_sessions(node("eu-1")));
  pass(58s);
  look();
  EXPECT_EQ(drained(), "expired: media.eu-1 has 3 sessions");
  EXPECT_TRUE(gives_up_sessions(node("eu-1")));
  tell(0);
  look();
  EXPECT_EQ(drained(), "drained");
}

TEST_F(Drain, ALaterDeadlineLetsThemGoOn) {
  drain("eu-1", pb::AVAILABILITY_DRAINED, 10s);
  leave();
  tell(3);
  pass(10s);
  look();
  EXPECT_EQ(word(node("eu-1").status().drain().state()), "expired");
  drain("eu-1", pb::AVAILABILITY_DRAINED, 60s);
  look();
  EXPECT_EQ(drained(), "waiting: media.eu-1 has 3 sessions");
}

TEST_F(Drain, ResumedThereIsNothingToTellAndNothingToAskFor) {
  drain("eu-1");
  leave();
  tell(3);
  look();
  drain("eu-1", pb::AVAILABILITY_ACTIVE);
  look();
  EXPECT_FALSE(node("eu-1").status().has_drain());
  EXPECT_EQ(sessions(), 0);
  tell(5);  // late
  EXPECT_EQ(sessions(), 0);
}

TEST_F(Drain, ANodeThatIsDownHasNoSessions) {
  drain("eu-1");
  leave();
  tell(3);
  pb::Node down = node("eu-1");
  down.mutable_status()->mutable_health()->set_state(pb::HEALTH_DOWN);
  fleet_.put(down);
  look();
  EXPECT_EQ(drained(), "drained");
}

TEST_F(Drain, ANodeTellsOfItsOwnInstancesOnly) {
  drain("eu-1");
  leave();
  tell(7, "eu-2", "media.eu-1");
  EXPECT_EQ(sessions(), kSessionsUnknown);
  tell(-3);
  EXPECT_EQ(sessions(), kSessionsUnknown);
}

TEST_F(Drain, AnAgentThatReportsAMillionInstancesIsHeardForItsOwnOnly) {
  drain("eu-1");
  leave();
  pb::Heartbeat heartbeat;
  for (int i = 0; i < 1'000'000; ++i)
    (*heartbeat.mutable_sessions())["x" + std::to_string(i) + ".eu-1"] = i;
  EXPECT_TRUE(new_sessions(fleet_.snapshot(), "eu-1", heartbeat).empty());
  (*heartbeat.mutable_sessions())["media.eu-2"] = 5;
  (*heartbeat.mutable_sessions())["media.eu-1"] = std::numeric_limits<int64_t>::max();
  const ToldSessions told = new_sessions(fleet_.snapshot(), "eu-1", heartbeat);
  EXPECT_EQ(told, (ToldSessions{{"media.eu-1", kMostSessions}}));
  note_sessions(fleet_, "eu-1", told);
  note_sessions(fleet_, "eu-1", {{"media.eu-2", 7}});  // it moved between question and write
  EXPECT_EQ(sessions("media.eu-1"), kMostSessions);
  EXPECT_EQ(sessions("media.eu-2"), 0);
  look();
  EXPECT_EQ(node("eu-1").status().drain().sessions(), kMostSessions);
}

TEST_F(Drain, MaintenanceIsADrainToo) {
  drain("eu-1", pb::AVAILABILITY_MAINTENANCE);
  EXPECT_FALSE(takes_work(node("eu-1")));
  leave();
  EXPECT_EQ(word(node("eu-1").status().drain().state()), "waiting");
}

TEST_F(Drain, LookingAgainWritesNothing) {
  drain("eu-1");
  leave();
  tell(2);
  look();
  fleet_.take_writes();
  look();
  EXPECT_EQ(fleet_.take_writes(), 0U);
}

TEST_F(Drain, APortOfTheServiceIsAskedWhereItListens) {
  pb::Service service;
  auto& port = *service.mutable_spec()->add_ports();
  port.set_name("http");
  port.set_port(8080);
  service.mutable_spec()->mutable_drain_check()->set_port("http");
  pb::Node at = node("eu-1");
  at.mutable_spec()->set_address("192.0.2.1");
  at.mutable_spec()->set_mesh_address("10.64.0.1");
  at.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  at.mutable_status()->mutable_drain()->set_state(pb::DRAIN_STATE_WAITING);
  EXPECT_EQ(sessions_source(service, at), "http://10.64.0.1:8080/");
  port.set_exposure(pb::EXPOSURE_PUBLIC);
  service.mutable_spec()->mutable_drain_check()->set_path("/sessions");
  EXPECT_EQ(sessions_source(service, at), "http://192.0.2.1:8080/sessions");
  service.mutable_spec()->mutable_ports(0)->set_exposure(pb::EXPOSURE_NODE);
  EXPECT_EQ(sessions_source(service, at), "http://127.0.0.1:8080/sessions");
}

TEST_F(Drain, ItsPlanSaysWhoIsSentElsewhereAndWhatIsWaitedFor) {
  pb::Grant grant;
  grant.mutable_metadata()->set_name("eu");
  grant.mutable_metadata()->set_tenant("acme");
  grant.mutable_spec()->set_cluster("eu");
  fleet_.put(grant);
  const std::vector<ResourceKey> changed{{"Node", "", "eu-1"}};
  const Snapshot before = fleet_.snapshot();
  drain("eu-1", pb::AVAILABILITY_DRAINED, 60s);
  const auto steps = explain_drains(before, fleet_.snapshot(), changed);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].action(), "drain");
  EXPECT_EQ(steps[0].object(), "Node/eu-1");
  EXPECT_EQ(
      steps[0].summary(),
      "no new work on it: 1 tenant is no longer sent to it; sessions of media are waited for, "
      "until the deadline; 1 instance stays on it");
  // From drained to maintenance nothing moves, but somebody is told.
  const Snapshot drained = fleet_.snapshot();
  drain("eu-1", pb::AVAILABILITY_MAINTENANCE);
  EXPECT_EQ(explain_drains(drained, fleet_.snapshot(), changed)[0].action(), "maintain");
  const Snapshot maintained = fleet_.snapshot();
  drain("eu-1", pb::AVAILABILITY_ACTIVE);
  EXPECT_EQ(explain_drains(maintained, fleet_.snapshot(), changed)[0].action(), "resume");
}

TEST_F(Drain, CountedInstancesLeaveButNotForARollout) {
  pb::Service service;
  service.mutable_metadata()->set_name("db");
  service.mutable_spec()->mutable_placement()->set_count(1);
  fleet_.put(service);
  place();
  const std::string home = fleet_.snapshot().find<pb::Instance>("db.eu-1") ? "eu-1" : "eu-2";
  pb::Node drained = node(home);
  drained.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  (*drained.mutable_metadata()->mutable_annotations())[kDrainedBy] = "media-1";
  fleet_.put(drained);
  place();
  EXPECT_NE(fleet_.snapshot().find<pb::Instance>("db." + home), nullptr);
  drained.mutable_metadata()->clear_annotations();
  fleet_.put(drained);
  place();
  EXPECT_EQ(fleet_.snapshot().find<pb::Instance>("db." + home), nullptr);
  EXPECT_EQ(fleet_.snapshot().find_by<pb::Instance>("service", "db").size(), 1U);
}

TEST_F(Drain, ANodeThatWasNeverHeardHasNobodyOnIt) {
  pb::Node silent = node("eu-1");
  silent.mutable_status()->clear_health();
  fleet_.put(silent);
  drain("eu-1");
  leave();
  look();
  EXPECT_EQ(drained(), "drained");
}

}  // namespace
}  // namespace frameworks
