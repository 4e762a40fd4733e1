// What the real configurator and its fake have in common. The real one runs a playbook that touches
// nothing, without SSH, through a collection that is put together here.
#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "config/system/ansible_configurator.h"
#include "config/system/fake_configurator.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::string_view kPlaybook = R"(---
- name: Site
  hosts: all
  gather_facts: false
  strategy: host_pinned
  tasks:
    - name: Simulate
      ansible.builtin.assert:
        that: wanted_error == ""
        fail_msg: "{{ wanted_error }}"
    - name: Hand over the join token
      ansible.builtin.copy:
        content: "{{ agent_join_tokens[frameworks_node] }}"
        dest: "{{ tokens }}/{{ frameworks_node }}.token"
        mode: "0600"
      when: frameworks_node in agent_join_tokens
      no_log: true
)";

// One configurator under test, and where the tokens that it hands over arrive.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Configurator& configurator() = 0;
  virtual fs::path tokens() = 0;
  // Variables of a host that fails with `error` (empty: does not).
  virtual json::object host(const std::string& name, const std::string& error) = 0;
};

class FakeSubject final : public Subject {
 public:
  FakeSubject() : directory_(*TemporaryDirectory::make()), configurator_(directory_.path()) {}
  Configurator& configurator() override { return configurator_; }
  fs::path tokens() override { return directory_.path(); }
  json::object host(const std::string& name, const std::string& error) override {
    configurator_.fail(name, error);
    return {{"frameworks_node", name}};
  }

 private:
  TemporaryDirectory directory_;
  FakeConfigurator configurator_;
};

class AnsibleSubject final : public Subject {
 public:
  AnsibleSubject() : directory_(*TemporaryDirectory::make()) {
    const fs::path collection = directory_.path() / "ansible_collections/frameworks/infra";
    fs::create_directories(collection / "playbooks");
    fs::create_directories(collection / "plugins");
    fs::create_directories(tokens());
    fs::copy(fs::path(FW_COLLECTIONS) / "ansible_collections/frameworks/infra/plugins/callback",
             collection / "plugins/callback", fs::copy_options::recursive);
    CHECK(write_file(collection / "playbooks/site.yml", kPlaybook).has_value());
    configurator_ = make_ansible_configurator({.collections = directory_.path()});
  }
  Configurator& configurator() override { return *configurator_; }
  fs::path tokens() override { return directory_.path() / "tokens"; }
  json::object host(const std::string& name, const std::string& error) override {
    return {{"frameworks_node", name},
            {"ansible_connection", "local"},
            {"ansible_remote_tmp", (directory_.path() / "remote").string()},
            {"tokens", tokens().string()},
            {"wanted_error", error}};
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Configurator> configurator_;
};

// Looks at every process's arguments and environment, which others on a host can see, while it
// lives.
class ProcessWatch {
 public:
  explicit ProcessWatch(std::vector<std::string> texts) : texts_(std::move(texts)) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      do {
        look();
      } while (system_clock().sleep_for(std::chrono::milliseconds(2), stop));
    });
  }
  // Those of the texts that were seen.
  std::set<std::string> end() {
    thread_.request_stop();
    thread_.join();
    return seen_;
  }

 private:
  void look() {
    std::error_code error;
    for (fs::directory_iterator at("/proc", error), last; !error && at != last; at.increment(error))
      for (const char* file : {"cmdline", "environ"}) {
        const auto content = read_file(at->path() / file);
        for (const std::string& text : texts_)
          if (content && content->find(text) != std::string::npos) seen_.insert(text);
      }
  }

  const std::vector<std::string> texts_;
  std::set<std::string> seen_;
  std::jthread thread_;
};

template <typename T>
class ConfiguratorContract : public ::testing::Test {
 protected:
  ConfigureRun run(const std::map<std::string, std::string>& errors_of_hosts) {
    ConfigureRun out;
    json::object variables;
    for (const auto& [host, error] : errors_of_hosts) {
      out.hosts.push_back(host);
      variables[host] = subject_.host(host, error);
    }
    out.inventory = {{"_meta", {{"hostvars", std::move(variables)}}}};
    out.agent_server = "192.0.2.1:19002";
    out.on_event = [this](const ConfigureEvent& event) { events_.push_back(event); };
    return out;
  }

  bool saw(const std::string& host, TaskResult result) const {
    return std::any_of(events_.begin(), events_.end(), [&](const auto& event) {
      return event.host == host && event.result == result;
    });
  }

  T subject_;
  std::vector<ConfigureEvent> events_;
};

using Subjects = ::testing::Types<FakeSubject, AnsibleSubject>;
TYPED_TEST_SUITE(ConfiguratorContract, Subjects);

TYPED_TEST(ConfiguratorContract, AHostThatFailsIsNamedWithItsErrorAndHoldsUpNoOther) {
  const auto outcome = this->subject_.configurator().configure(
      this->run({{"a", ""}, {"b", "disk is full"}, {"c", ""}}));
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_FALSE(outcome->converged());
  EXPECT_TRUE(outcome->hosts.at("a").converged);
  EXPECT_TRUE(outcome->hosts.at("c").converged);
  EXPECT_FALSE(outcome->hosts.at("b").converged);
  EXPECT_NE(outcome->hosts.at("b").error.find("Simulate: disk is full"), std::string::npos)
      << outcome->hosts.at("b").error;
  EXPECT_EQ(outcome->error().substr(0, 3), "b: ");
  EXPECT_TRUE(this->saw("b", TaskResult::kStarted));
  EXPECT_TRUE(this->saw("b", TaskResult::kFailed));
  EXPECT_TRUE(this->saw("a", TaskResult::kOk));
}

TYPED_TEST(ConfiguratorContract, HandsOverJoinTokensAndNeverTellsThem) {
  auto run = this->run({{"a", ""}, {"b", ""}});
  run.join_tokens = {{"a", "secret-of-a"}};
  ProcessWatch watch({"secret-of-a", "variables.json"});
  const auto outcome = this->subject_.configurator().configure(run);
  const auto seen = watch.end();
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_TRUE(outcome->converged()) << outcome->error();
  EXPECT_FALSE(seen.contains("secret-of-a"));
  // What is among the arguments was seen: the watch works.
  if (std::is_same_v<TypeParam, AnsibleSubject>) {
    EXPECT_TRUE(seen.contains("variables.json"));
  }
  EXPECT_EQ(read_file(this->subject_.tokens() / "a.token").value_or(""), "secret-of-a");
  EXPECT_EQ(fs::status(this->subject_.tokens() / "a.token").permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(fs::exists(this->subject_.tokens() / "b.token"));
  EXPECT_EQ(outcome->hosts.at("a").changed, 1);
  EXPECT_EQ(outcome->hosts.at("b").changed, 0);
  for (const ConfigureEvent& event : this->events_)
    EXPECT_EQ((event.task + event.message).find("secret-of-a"), std::string::npos);
}

TYPED_TEST(ConfiguratorContract, AHostThatTheInventoryDoesNotHaveIsTold) {
  auto run = this->run({{"a", ""}});
  run.hosts.emplace_back("stranger");
  const auto outcome = this->subject_.configurator().configure(run);
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_TRUE(outcome->hosts.at("a").converged);
  EXPECT_EQ(outcome->hosts.at("stranger").error, "is not in the inventory");
}

TYPED_TEST(ConfiguratorContract, ACancelledRunSaysSo) {
  auto run = this->run({{"a", ""}});
  std::stop_source stop;
  stop.request_stop();
  run.stop = stop.get_token();
  const auto outcome = this->subject_.configurator().configure(run);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Code::kCancelled);
}

TYPED_TEST(ConfiguratorContract, NoHostsAreNoWork) {
  const auto outcome = this->subject_.configurator().configure(this->run({}));
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_TRUE(outcome->converged());
}

TEST(AnsibleConfigurator, AHostThatIsNotThereIsUnreachableWithTheReason) {
  AnsibleSubject subject;
  ConfigureRun run;
  run.hosts = {"a"};
  // Nothing listens on port 1 of the loopback.
  run.inventory = {{"_meta",
                    {{"hostvars",
                      {{"a",
                        {{"ansible_host", "127.0.0.1"},
                         {"ansible_port", 1},
                         {"frameworks_node", "a"},
                         {"ansible_ssh_retries", 0},
                         {"wanted_error", ""},
                         {"tokens", "/nowhere"}}}}}}}};
  run.agent_server = "192.0.2.1:19002";
  run.join_tokens = {{"a", "secret"}};
  const auto outcome = subject.configurator().configure(run);
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_FALSE(outcome->hosts.at("a").converged);
  EXPECT_FALSE(outcome->hosts.at("a").error.empty());
  EXPECT_EQ(outcome->hosts.at("a").error.find("secret"), std::string::npos);
}

TEST(AnsibleConfigurator, RemovesWhatAKilledServerLeftAndNothingElse) {
  const auto abandoned = TemporaryDirectory::make("fwa");
  const auto unfinished = TemporaryDirectory::make("fwa");
  ASSERT_TRUE(write_file(abandoned->path() / "lock", ""));
  ASSERT_TRUE(write_file(abandoned->path() / "variables.json", "secret", 0600));
  AnsibleSubject subject;
  ConfigureRun run;
  run.hosts = {"a"};
  ASSERT_TRUE(subject.configurator().configure(run));
  EXPECT_FALSE(fs::exists(abandoned->path()));
  // Without a lock yet: a run that is just being made.
  EXPECT_TRUE(fs::exists(unfinished->path()));
}

TEST(AnsibleConfigurator, ACollectionThatIsNotThereIsAnErrorThatNamesThePlaybook) {
  const auto nowhere = TemporaryDirectory::make();
  auto configurator = make_ansible_configurator({.collections = nowhere->path()});
  ConfigureRun run;
  run.hosts = {"a"};
  run.inventory = {{"_meta", {{"hostvars", {{"a", {{"ansible_connection", "local"}}}}}}}};
  const auto outcome = configurator->configure(run);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Code::kInternal);
  EXPECT_NE(outcome.error().message().find("frameworks.infra"), std::string::npos)
      << outcome.error().message();
}

}  // namespace
}  // namespace frameworks
