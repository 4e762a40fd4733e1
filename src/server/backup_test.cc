// A backup of the whole server under load, restored into a new folder, and everything that can be
// wrong with one; the audit log from outside.
#include <gtest/gtest.h>

#include <thread>

#include "base/process.h"
#include "frameworks/v1/audit_api.grpc.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "server/fake_agent.h"
#include "server/fleet_client.h"
#include "server/quartermaster.h"
#include "server/restore.h"
#include "server/store_choice.h"
#include "store/archive_file.h"
#include "store/store.h"
#include "store/test_postgres.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

// The programs, side by side.
Output operate(std::vector<std::string> words) {
  words.insert(words.begin(), fs::path(FW_QUARTERMASTER).parent_path() / "frameworks");
  const auto output = run({.argv = words});
  EXPECT_TRUE(output) << output.error().text();
  return output ? *output : Output{};
}

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() : directory_(std::move(*TemporaryDirectory::make())) {
    server_ = start(state());
    client_ = std::make_unique<FleetClient>(state(), server_->grpc_port());
    EXPECT_TRUE(write_file(path("passphrase"), "correct horse battery staple\n", 0600));
  }
  static std::unique_ptr<Quartermaster> start(const fs::path& state) {
    QuartermasterOptions options;
    options.state = state;
    options.listen_grpc = options.listen_rest = "127.0.0.1:0";
    options.simulated = true;
    options.heartbeat = std::chrono::milliseconds(250);
    auto server = Quartermaster::start(options);
    EXPECT_TRUE(server) << server.error().text();
    return server ? *std::move(server) : nullptr;
  }
  [[nodiscard]] fs::path path(const std::string& name) const { return directory_.path() / name; }
  [[nodiscard]] fs::path state() const { return path("state"); }
  Output backup(std::vector<std::string> words) const {
    std::vector<std::string> all{"backup",
                                 "--server",
                                 "localhost:" + std::to_string(server_->grpc_port()),
                                 "--token-file",
                                 state() / "admin.token",
                                 "--ca-file",
                                 state() / "ca.pem"};
    all.insert(all.end(), words.begin(), words.end());
    return operate(all);
  }
  Output encrypted_backup(const std::string& name) const {
    return backup({"-o", path(name), "--passphrase-file", path("passphrase")});
  }
  void make_tenant(int number) {
    client_->apply(FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: t" +
                                     std::to_string(number) + "}\n"));
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Quartermaster> server_;
  std::unique_ptr<FleetClient> client_;
};

struct Content {
  Revision revision = 0;
  std::map<ResourceKey, std::string> objects;
  std::map<std::string, std::string> files;
  std::vector<AuditRow> audit;
};

Content content_of(const fs::path& file, const std::optional<std::string>& passphrase) {
  Content out;
  const auto archive = ArchiveFile::open(file, passphrase);
  EXPECT_TRUE(archive) << archive.error().text();
  if (!archive) return out;
  const auto header = (*archive)->reader().header();
  EXPECT_TRUE(header) << header.error().text();
  if (!header) return out;
  out.revision = header->revision();
  while (true) {
    const auto record = (*archive)->reader().next();
    EXPECT_TRUE(record) << record.error().text();
    if (!record || !*record) return out;
    const pb::ArchiveRecord& item = **record;
    if (item.has_object())
      out.objects[{item.object().kind(), item.object().tenant(), item.object().name()}] =
          item.object().message();
    if (item.has_file()) out.files[item.file().name()] = item.file().content();
    if (item.has_audit())
      out.audit.push_back({item.audit().position(), item.audit().record(), item.audit().hash()});
  }
}

// Says everything that differs between an archive and a state folder no server runs on.
void expect_same(const Content& archive, const fs::path& state, const std::string& store = {}) {
  const auto log = open_log(state, store);
  ASSERT_TRUE(log) << log.error().text();
  const auto loaded = (*log)->load();
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->revision(), archive.revision);
  size_t count = 0;
  for (const Kind& kind : all_kinds())
    for (const Resource& resource : loaded->list(kind)) {
      ++count;
      const auto found = archive.objects.find(resource.key());
      ASSERT_NE(found, archive.objects.end()) << resource.key().text();
      const std::unique_ptr<Message> stored = kind.make();
      ASSERT_TRUE(stored->ParseFromString(found->second));
      EXPECT_TRUE(same_bytes(*stored, resource.message())) << resource.key().text();
    }
  EXPECT_EQ(count, archive.objects.size());
  std::vector<AuditRow> rows;
  while (true) {
    const auto more = (*log)->read_audit({rows.empty() ? 0 : rows.back().position + 1}, 1'000);
    ASSERT_TRUE(more);
    if (more->empty()) break;
    rows.insert(rows.end(), more->begin(), more->end());
  }
  EXPECT_TRUE(rows == archive.audit);
  for (const auto& [name, content] : archive.files)
    EXPECT_TRUE(*read_file(state / name) == content) << name;
}

TEST_F(BackupTest, UnderLoadOneRevisionIsCopiedAndComesBackWithEverything) {
  FakeAgent agent(state(), server_->grpc_port(), "core-1");
  client_->apply(FleetClient::demo());
  ASSERT_TRUE(eventually([&] { return !agent.identity().certificate_pem.empty(); }));
  for (int i = 0; i < 200; ++i) make_tenant(i);
  std::atomic<int> written = 200;
  std::atomic<bool> enough = false;
  std::jthread writer([&] {
    while (!enough) make_tenant(written++);
  });
  ASSERT_TRUE(eventually([&] { return written > 210; }));
  const int before = written - 1;
  const Output made = encrypted_backup("fleet.backup");
  EXPECT_EQ(made.exit_code, 0) << made.err;
  const int after = written;
  ASSERT_TRUE(eventually([&] { return written > after + 10; })) << "writes go on";
  enough = true;
  writer.join();
  struct stat info {};
  ASSERT_EQ(stat(path("fleet.backup").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  const Content archive = content_of(path("fleet.backup"), "correct horse battery staple");
  for (int i = 0; i < before; ++i)
    EXPECT_TRUE(archive.objects.contains({"Tenant", "", "t" + std::to_string(i)}))
        << i << " was acknowledged before the backup began";
  EXPECT_FALSE(archive.objects.contains({"Tenant", "", "t" + std::to_string(after + 5)}));
  EXPECT_EQ(archive.files.at("ca.key"), *read_file(state() / "ca.key"));

  const Output verified =
      operate({"verify", path("fleet.backup"), "--passphrase-file", path("passphrase")});
  EXPECT_EQ(verified.exit_code, 0) << verified.err;
  const Output restored = operate({"restore", path("fleet.backup"), "--state", path("new"),
                                      "--passphrase-file", path("passphrase")});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  expect_same(archive, path("new"));

  const auto second = start(path("new"));
  ASSERT_NE(second, nullptr);
  FleetClient client(path("new"), second->grpc_port());
  EXPECT_EQ(client.token(), client_->token());
  EXPECT_GE(client.status().revision(), archive.revision);
  // The audit log goes on from where the copy was made, and is the one that the old server had.
  pb::VerifyAuditRequest request;
  pb::VerifyAuditResponse verdict;
  request.add_expect_hashes(std::to_string(archive.revision) + ":" +
                            hex_encode(archive.audit.back().hash));
  ASSERT_TRUE(client.call("Audit/Verify", request, verdict).ok());
  EXPECT_EQ(verdict.problem(), "");
  pb::VerifyAuditResponse old;
  ASSERT_TRUE(client_->call("Audit/Verify", request, old).ok());
  EXPECT_EQ(old.problem(), "");
  const auto made_now = client.apply(FleetClient::yaml(
      "apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: after-restore}\n"));
  EXPECT_GT(made_now.revision(), archive.revision);

  // A node's certificate of before is good.
  const KeyAndCertificate identity = agent.identity();
  grpc::ClientContext context;
  context.set_deadline(
      std::chrono::system_clock::time_point(system_clock().wall() + std::chrono::seconds(20)));
  const auto stub = pb::Agents::NewStub(test_channel(second->grpc_port(),
                                                     *read_file(path("new") / "ca.pem"),
                                                     identity.key_pem, identity.certificate_pem));
  const auto stream = stub->Session(&context);
  pb::AgentMessage hello;
  hello.mutable_hello()->set_version("fake");
  hello.mutable_hello()->set_simulated(true);
  ASSERT_TRUE(stream->Write(hello));
  pb::ServerMessage message;
  EXPECT_TRUE(stream->Read(&message)) << "it is taken for core-1 and told something";
  context.TryCancel();
  (void)stream->Finish();
}

TEST_F(BackupTest, ADamagedArchiveIsFoundAndLeavesNothing) {
  make_tenant(1);
  ASSERT_EQ(backup({"-o", path("plain"), "--unencrypted"}).exit_code, 0);
  ASSERT_EQ(encrypted_backup("sealed").exit_code, 0);
  ASSERT_EQ(operate({"verify", path("plain")}).exit_code, 0);
  for (const std::string name : {"plain", "sealed"}) {
    const std::string bytes = *read_file(path(name));
    RestoreRequest request;
    request.archive = path("damaged");
    request.state = path("new");
    if (name == "sealed") request.passphrase = "correct horse battery staple";
    const auto refused = [&](const std::string& content, const std::string& what) {
      ASSERT_TRUE(write_file(path("damaged"), content));
      EXPECT_FALSE(restore(request, [](Revision, Revision) {})) << name << " " << what;
      EXPECT_FALSE(fs::exists(path("new"))) << name << " " << what;
      EXPECT_FALSE(fs::exists(path("new.restoring"))) << name << " " << what;
    };
    for (size_t i = 0; i < bytes.size(); i += 1 + bytes.size() / 40) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ 0x10);
      refused(changed, "byte " + std::to_string(i));
      refused(bytes.substr(0, i), "cut to " + std::to_string(i));
    }
    refused(bytes + "x", "with more");
    ASSERT_TRUE(write_file(path("damaged"), bytes));
    EXPECT_TRUE(restore(request, [](Revision, Revision) {})) << "itself it is good";
    fs::remove_all(path("new"));
  }
  ASSERT_TRUE(write_file(path("wrong"), "another\n"));
  const Output wrong =
      operate({"verify", path("sealed"), "--passphrase-file", path("wrong")});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_NE(wrong.err.find("passphrase is wrong"), std::string::npos) << wrong.err;
}

TEST_F(BackupTest, RestoresIntoANewFolderOnlyAndClearsAwayWhatWasInterrupted) {
  make_tenant(1);
  ASSERT_EQ(encrypted_backup("sealed").exit_code, 0);
  const auto restore_to = [&](const fs::path& state) {
    return operate({"restore", path("sealed"), "--state", state, "--passphrase-file",
                       path("passphrase")});
  };
  const Output own = restore_to(state());
  EXPECT_EQ(own.exit_code, 1);
  EXPECT_NE(own.err.find("not empty"), std::string::npos) << own.err;
  make_tenant(2);  // the server still stands on its folder

  // What a restore that was killed leaves.
  fs::create_directories(path("new.restoring"));
  ASSERT_TRUE(write_file(path("new.restoring") / "fleet.db", "half"));
  ASSERT_TRUE(write_file(path("new.restoring") / "stray", "half"));
  fs::create_directories(path("new"));
  const Output good = restore_to(path("new").string() + "/");
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_FALSE(fs::exists(path("new") / "stray"));
  EXPECT_FALSE(fs::exists(path("new.restoring")));
  struct stat info {};
  ASSERT_EQ(stat(path("new").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_EQ(stat((path("new") / "ca.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(restore_to(path("new")).exit_code, 1) << "it is not empty any more";
}

TEST_F(BackupTest, RestoresIntoAnEmptyDatabaseAndIntoNoOther) {
  const auto database = PostgresServer::start();
  if (!database) GTEST_SKIP() << database.error().text();
  client_->apply(FleetClient::demo());
  for (int i = 0; i < 5; ++i) make_tenant(i);
  pb::DeleteRequest gone;  // leaves revisions of which nothing is left
  gone.set_kind("tenant");
  gone.set_name("t3");
  pb::ApplyResponse response;
  ASSERT_TRUE(client_->call("Fleet/Delete", gone, response).ok());
  pb::GetRequest look;
  look.set_kind("tenant");
  look.set_name("t3");
  pb::GetResponse found;
  ASSERT_TRUE(eventually([&] { return !client_->call("Fleet/Get", look, found).ok(); }));
  ASSERT_EQ(backup({"-o", path("plain"), "--unencrypted"}).exit_code, 0);
  const auto restore_to = [&](const fs::path& state) {
    return operate({"restore", path("plain"), "--state", state, "--store",
                    (*database)->conninfo("postgres")});
  };
  const Output good = restore_to(path("new"));
  ASSERT_EQ(good.exit_code, 0) << good.err;
  EXPECT_FALSE(fs::exists(path("new") / "fleet.db"));
  expect_same(content_of(path("plain"), {}), path("new"), (*database)->conninfo("postgres"));
  const Output again = restore_to(path("other"));
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.err.find("holds a fleet already"), std::string::npos) << again.err;
  EXPECT_FALSE(fs::exists(path("other")));
}

TEST_F(BackupTest, FilesAreNeitherReplacedNorLeftHalf) {
  const Output neither = backup({"-o", path("file")});
  EXPECT_EQ(neither.exit_code, 2);
  EXPECT_NE(neither.err.find("--unencrypted"), std::string::npos) << neither.err;
  ASSERT_TRUE(write_file(path("file"), "mine"));
  EXPECT_EQ(encrypted_backup("file").exit_code, 2);
  EXPECT_EQ(*read_file(path("file")), "mine");
  EXPECT_EQ(backup({"-o", path("file"), "--unencrypted", "--force"}).exit_code, 0);
  EXPECT_EQ(operate({"verify", path("file")}).exit_code, 0);
  server_.reset();
  const Output gone =
      operate({"backup", "--server", "localhost:1", "--token-file", state() / "admin.token",
                  "--ca-file", state() / "ca.pem", "-o", path("none"), "--unencrypted"});
  EXPECT_EQ(gone.exit_code, 3) << gone.err;
  int files = 0;
  for (const auto& each : fs::directory_iterator(directory_.path()))
    files += each.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 2) << "passphrase and file";
}

}  // namespace
}  // namespace frameworks
