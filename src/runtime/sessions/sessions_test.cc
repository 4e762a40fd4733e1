#include "runtime/sessions/sessions.h"

#include <atomic>

#include "base/locked.h"
#include "runtime/sessions/test_fleet.h"

namespace frameworks {
namespace {

// Of a mesh whose name is long, what is told of a change is that it changed.
class LabelMesh final : public PlanSection {
 public:
  explicit LabelMesh(pb::MeshSection mesh)
      : PlanSection(section_hash(mesh)), mesh_(std::move(mesh)) {}
  void put(pb::PlanUpdate& update) const override { *update.mutable_mesh() = mesh_; }
  [[nodiscard]] bool is_base() const override { return mesh_.node().size() > 10; }
  bool put_changes(const PlanSection& base, pb::PlanUpdate& update) const override {
    update.mutable_mesh()->set_changes_since(base.hash());
    return true;
  }

 private:
  const pb::MeshSection mesh_;
};

// A node's mesh lists the clusters' labels "peer"; its firewall is the node's own label "rules".
// Counts how often it was asked.
class LabelPlans final : public PlanSource {
 public:
  std::vector<std::string> sections() const override { return {"mesh", "firewall"}; }
  std::unique_ptr<Planner> planner(const Snapshot& snapshot) const override {
    return std::make_unique<LabelPlanner>(*this, snapshot);
  }
  NodePlan plan(const Snapshot& snapshot, const pb::Node& node, SectionSet sections) const {
    planned_.fetch_add(1);
    NodePlan out{snapshot.revision()};
    pb::MeshSection mesh;
    std::string peers;
    for (const auto& cluster : snapshot.list<pb::Cluster>())
      if (cluster->metadata().labels().contains("peer"))
        peers += cluster->metadata().labels().at("peer") + " ";
    mesh.set_node(peers);
    pb::FirewallSection firewall;
    const auto rules = node.metadata().labels().find("rules");
    firewall.set_ruleset(rules == node.metadata().labels().end() ? "" : rules->second);
    if (sections.test(0)) out.sections["mesh"] = std::make_shared<const LabelMesh>(std::move(mesh));
    if (sections.test(1))
      out.sections["firewall"] = section_of(std::move(firewall), &pb::PlanUpdate::mutable_firewall);
    return out;
  }
  Affected affected(const Snapshot& after, std::span<const Change> changes) const override {
    Affected out;
    for (const Change& change : changes) {
      if (change.key.kind == "Node") out[change.key.name].set();
      if (change.key.kind != "Cluster") continue;
      for (const auto& node : after.list<pb::Node>()) out[node->metadata().name()].set(0);
    }
    return out;
  }
  int planned() const { return planned_.load(); }

 private:
  class LabelPlanner final : public Planner {
   public:
    LabelPlanner(const LabelPlans& plans, const Snapshot& snapshot)
        : plans_(plans), snapshot_(snapshot) {}
    NodePlan plan(const pb::Node& node, SectionSet sections) override {
      return plans_.plan(snapshot_, node, sections);
    }

   private:
    const LabelPlans& plans_;
    const Snapshot& snapshot_;
  };
  mutable std::atomic<int> planned_{0};
};

template <typename T>
void set_label(Store& store, const std::string& name, const std::string& label,
               const std::string& value) {
  ASSERT_TRUE(store.write("test", [&](Transaction& transaction) -> Status {
    T message = *transaction.snapshot().find<T>(name);
    (*message.mutable_metadata()->mutable_labels())[label] = value;
    transaction.put(std::move(message));
    return {};
  }));
}

pb::AgentMessage hello(const std::map<std::string, std::string>& has = {}) {
  pb::AgentMessage message;
  message.mutable_hello()->set_version("1");
  message.mutable_hello()->set_wireguard_public_key("key");
  message.mutable_hello()->mutable_section_hashes()->insert(has.begin(), has.end());
  return message;
}

pb::AgentMessage ack(const pb::PlanUpdate& update, const std::string& error = "") {
  pb::AgentMessage message;
  message.mutable_ack()->set_revision(update.revision());
  for (const auto& [section, hash] : update.section_hashes()) {
    if (error.empty())
      message.mutable_ack()->add_applied(section);
    else
      (*message.mutable_ack()->mutable_errors())[section] = error;
  }
  return message;
}

// A node's end of the stream.
class FakeAgent {
 public:
  FakeAgent(Sessions& sessions, const std::string& node) {
    auto opened =
        sessions.open(node, {[end = end_] { end->signal.raise(); },
                             [end = end_](Error error) {
                               end->closed.with([&](auto& why) { why = error.message(); });
                               end->signal.raise();
                             }});
    EXPECT_TRUE(opened) << opened.error().text();
    session_ = std::move(*opened);
  }

  Status send(const pb::AgentMessage& message) { return session_->receive(message); }

  // The next message, waited for.
  pb::ServerMessage receive() {
    std::optional<pb::ServerMessage> message;
    EXPECT_TRUE(end_->signal.wait([&] { return (message = session_->next()).has_value(); }));
    return message.value_or(pb::ServerMessage());
  }
  pb::PlanUpdate receive_plan() { return receive().plan(); }
  bool has_message() { return session_->next().has_value(); }
  // Until the server closed the stream.
  std::string wait_closed() {
    std::string why;
    EXPECT_TRUE(end_->signal.wait([&] {
      why = end_->closed.with([](const auto& closed) { return closed; });
      return !why.empty();
    }));
    return why;
  }
  void disconnect() { session_.reset(); }

 private:
  // What is called from other threads, also while the agent goes away.
  struct End {
    Signal signal;
    Locked<std::string> closed;
  };
  const std::shared_ptr<End> end_ = std::make_shared<End>();
  std::shared_ptr<Session> session_;
};

class SessionsTest : public ::testing::Test {
 protected:
  SessionsTest() : store_(open_test_store(clock_)) {
    put_cluster(*store_, "core");
    put_node(*store_, "a", "core", true);
    put_node(*store_, "b", "core", true);
    options_.sign = [](std::string_view, std::string_view node) -> Result<NodeCertificate> {
      return NodeCertificate{"renewed " + std::string(node), "0b"};
    };
    options_.on_alive = [this](const std::string&) { alive_.fetch_add(1); };
    options_.retry = std::chrono::seconds(0);
  }
  void start() { sessions_ = std::move(*Sessions::start(*store_, clock_, plans_, options_)); }

  // Until the planner is done with all that was written.
  void settle() {
    // What streams write of themselves is queued: an empty edit waits for it.
    EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
    const Revision newest = store_->snapshot()->revision();
    EXPECT_TRUE(signal_.wait([&] {
      for (const auto& plane : sessions_->convergence(newest))
        for (const auto& waiting : plane.waiting)
          if (waiting.node.empty()) return false;
      return true;
    }));
  }

  std::map<std::string, std::string> hashes_of(const std::string& node) {
    const SnapshotPtr snapshot = store_->snapshot();
    std::map<std::string, std::string> out;
    for (const auto& [name, section] :
         plans_.planner(*snapshot)->plan(*snapshot->find<pb::Node>(node)).sections)
      out[name] = section->hash();
    return out;
  }

  ManualClock clock_;
  std::unique_ptr<Store> store_;
  LabelPlans plans_;
  Sessions::Options options_;
  std::atomic<int> alive_{0};
  Signal signal_;
  std::unique_ptr<Sessions> sessions_;
};

TEST_F(SessionsTest, WelcomesThenSendsTheWholePlanAndBelievesTheAck) {
  start();
  FakeAgent agent(*sessions_, "a");
  EXPECT_FALSE(agent.has_message());
  ASSERT_TRUE(agent.send(hello()));
  EXPECT_EQ(agent.receive().welcome().heartbeat_interval().seconds(), 1);
  const auto plan = agent.receive_plan();
  EXPECT_EQ(plan.section_hashes_size(), 2);
  EXPECT_FALSE(sessions_->converged("a"));
  ASSERT_TRUE(agent.send(ack(plan)));
  EXPECT_TRUE(signal_.wait([&] { return sessions_->converged("a"); }));
  EXPECT_FALSE(agent.has_message());
}

TEST_F(SessionsTest, SendsOnlyTheSectionThatChangedAndToNobodyElse) {
  start();
  FakeAgent a(*sessions_, "a");
  FakeAgent b(*sessions_, "b");
  for (FakeAgent* agent : {&a, &b}) {
    ASSERT_TRUE(agent->send(hello()));
    agent->receive();
    ASSERT_TRUE(agent->send(ack(agent->receive_plan())));
  }
  // What the nodes said of themselves is written by then, which plans them once more.
  for (const char* node : {"a", "b"})
    EXPECT_TRUE(signal_.wait([&] {
      return !store_->snapshot()->find<pb::Node>(node)->status().agent().version().empty();
    }));
  settle();
  const int before = plans_.planned();
  set_label<pb::Node>(*store_, "a", "rules", "drop");
  const auto plan = a.receive_plan();
  EXPECT_FALSE(plan.has_mesh());
  EXPECT_EQ(plan.firewall().ruleset(), "drop");
  settle();
  EXPECT_FALSE(b.has_message());
  EXPECT_EQ(plans_.planned(), before + 1);
}

TEST_F(SessionsTest, ANodeThatHasItsPlanIsSentNothing) {
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello(hashes_of("a"))));
  EXPECT_TRUE(agent.receive().has_welcome());
  settle();
  EXPECT_FALSE(agent.has_message());
  EXPECT_TRUE(signal_.wait([&] { return sessions_->converged("a"); }));
}

TEST_F(SessionsTest, PlansOnlyTheSectionsThatAChangeAffects) {
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello()));
  agent.receive();
  ASSERT_TRUE(agent.send(ack(agent.receive_plan())));
  // A node's own change may be in any section, a cluster's only in the mesh.
  set_label<pb::Node>(*store_, "a", "rules", "drop");
  ASSERT_TRUE(agent.send(ack(agent.receive_plan())));
  set_label<pb::Cluster>(*store_, "core", "peer", "b");
  const auto plan = agent.receive_plan();
  EXPECT_EQ(plan.mesh().node(), "b ");
  EXPECT_FALSE(plan.has_firewall());
  ASSERT_TRUE(agent.send(ack(plan)));
  EXPECT_TRUE(signal_.wait([&] { return sessions_->converged("a"); }));
}

TEST_F(SessionsTest, TellsWhatChangedSinceWhatTheNodeHas) {
  set_label<pb::Cluster>(*store_, "core", "peer", "first of all peers");
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello(hashes_of("a"))));  // it has it from before
  agent.receive();
  settle();
  for (const char* peer : {"second of all peers", "third of all peers"}) {
    const std::string before = hashes_of("a").at("mesh");
    set_label<pb::Cluster>(*store_, "core", "peer", peer);
    const auto plan = agent.receive_plan();  // also while the one before is unanswered
    EXPECT_EQ(plan.mesh().changes_since(), before);
    EXPECT_EQ(plan.section_hashes().at("mesh"), hashes_of("a").at("mesh"));
  }
}

TEST_F(SessionsTest, ANodeThatCannotUseChangesIsSentTheWholeAtOnce) {
  options_.retry = std::chrono::hours(1);
  set_label<pb::Cluster>(*store_, "core", "peer", "first of all peers");
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello()));
  agent.receive();
  ASSERT_TRUE(agent.send(ack(agent.receive_plan())));
  set_label<pb::Cluster>(*store_, "core", "peer", "second of all peers");
  const auto changes = agent.receive_plan();
  ASSERT_FALSE(changes.mesh().changes_since().empty());
  ASSERT_TRUE(agent.send(ack(changes, "not in force here")));
  const auto whole = agent.receive_plan();
  EXPECT_EQ(whole.mesh().node(), "second of all peers ");
  ASSERT_TRUE(agent.send(ack(whole)));
  EXPECT_TRUE(signal_.wait([&] { return sessions_->converged("a"); }));
}

TEST_F(SessionsTest, ANodeThatSaysItHasSomethingElseIsSentTheWhole) {
  set_label<pb::Cluster>(*store_, "core", "peer", "first of all peers");
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello()));
  agent.receive();
  ASSERT_TRUE(agent.send(ack(agent.receive_plan())));
  ASSERT_TRUE(agent.send(hello({{"mesh", "another"}})));
  agent.receive();
  const auto plan = agent.receive_plan();
  EXPECT_EQ(plan.mesh().node(), "first of all peers ");
}

TEST_F(SessionsTest, ChangesCoalesceForASlowNode) {
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello()));
  agent.receive();
  agent.receive_plan();
  for (int i = 0; i < 50; ++i) set_label<pb::Node>(*store_, "a", "rules", std::to_string(i));
  settle();
  EXPECT_EQ(agent.receive_plan().firewall().ruleset(), "49");
  EXPECT_FALSE(agent.has_message());
}

TEST_F(SessionsTest, TellsWhyANodeRefusesAndSendsItAgain) {
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello()));
  agent.receive();
  const auto plan = agent.receive_plan();
  ASSERT_TRUE(agent.send(ack(plan, "no such device")));
  const auto planes = sessions_->convergence(plan.revision());
  EXPECT_EQ(planes[0].waiting[0].error, "no such device");
  const auto again = agent.receive_plan();
  EXPECT_EQ(again.section_hashes().at("mesh"), plan.section_hashes().at("mesh"));
  ASSERT_TRUE(agent.send(ack(again)));
  EXPECT_TRUE(signal_.wait([&] { return sessions_->converged("a"); }));
}

TEST_F(SessionsTest, SaysWhomARevisionWaitsForAndHowLongItTook) {
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello()));
  agent.receive();
  ASSERT_TRUE(agent.send(ack(agent.receive_plan())));
  settle();
  set_label<pb::Node>(*store_, "a", "rules", "drop");
  const Revision revision = store_->snapshot()->revision();
  const auto plan = agent.receive_plan();
  settle();
  const auto waiting = sessions_->convergence(revision)[1].waiting;
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[0].error, "was sent it and has not answered yet");
  EXPECT_EQ(waiting[1].error, "is not connected");
  clock_.advance(std::chrono::milliseconds(40));
  ASSERT_TRUE(agent.send(ack(plan)));
  ASSERT_TRUE(store_->write("test", [](Transaction& transaction) -> Status {
    transaction.remove({"Node", {}, "b"});
    return {};
  }));
  EXPECT_TRUE(signal_.wait([&] { return sessions_->convergence(revision)[1].waiting.empty(); }));
  EXPECT_EQ(sessions_->convergence(revision)[1].elapsed, std::chrono::milliseconds(40));
}

TEST_F(SessionsTest, LetsInNodesOfTheFleetThatJoinedOnly) {
  put_node(*store_, "new", "core", false);
  start();
  EXPECT_EQ(sessions_->open("new", {}).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(sessions_->open("nobody", {}).error().code(), Code::kPermissionDenied);
}

TEST_F(SessionsTest, TheFirstMessageMustBeHello) {
  start();
  FakeAgent agent(*sessions_, "a");
  pb::AgentMessage heartbeat;
  heartbeat.mutable_heartbeat();
  EXPECT_EQ(agent.send(heartbeat).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(alive_.load(), 0);
  ASSERT_TRUE(agent.send(hello()));
  ASSERT_TRUE(agent.send(heartbeat));
  EXPECT_EQ(alive_.load(), 2);
}

TEST_F(SessionsTest, ASecondStreamOfANodeReplacesTheFirst) {
  start();
  FakeAgent first(*sessions_, "a");
  FakeAgent second(*sessions_, "a");
  EXPECT_EQ(first.wait_closed(), "the node opened another stream");
  first.disconnect();
  EXPECT_TRUE(sessions_->connected("a"));
  EXPECT_EQ(sessions_->connected(), 1);
  second.disconnect();
  EXPECT_EQ(sessions_->connected(), 0);
}

TEST_F(SessionsTest, ARemovedNodesStreamIsClosed) {
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(store_->write("test", [](Transaction& transaction) -> Status {
    transaction.remove({"Node", {}, "a"});
    return {};
  }));
  EXPECT_EQ(agent.wait_closed(), "the node was removed from the fleet");
  EXPECT_EQ(sessions_->connected(), 0);
}

TEST_F(SessionsTest, RecordsWhatTheAgentSaysOfItselfAndRenewsItsCertificate) {
  start();
  FakeAgent agent(*sessions_, "a");
  ASSERT_TRUE(agent.send(hello()));
  pb::AgentMessage renew;
  renew.mutable_renew()->set_certificate_request("request");
  ASSERT_TRUE(agent.send(renew));
  agent.receive();
  EXPECT_EQ(agent.receive().renewed().certificate(), "renewed a");
  EXPECT_TRUE(signal_.wait([&] {
    const auto agent_status = store_->snapshot()->find<pb::Node>("a")->status().agent();
    return agent_status.wireguard_public_key() == "key" &&
           agent_status.certificate_serial() == "0b";
  }));
}

}  // namespace
}  // namespace frameworks
