// The audit log from outside: what it tells, to whom, and that it notices.
#include <gtest/gtest.h>

#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/audit_api.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"
#include "store/sqlite.h"

namespace frameworks {
namespace {

class AuditMethodsTest : public ServerFixture {
 protected:
  AuditMethodsTest() { start(); }
  void apply(const std::string& kind, const std::string& metadata, const std::string& spec = "{}") {
    client_->apply(FleetClient::yaml("apiVersion: frameworks/v1\nkind: " + kind +
                                     "\nmetadata: " + metadata + "\nspec: " + spec + "\n"));
  }
  void remove(const std::string& kind, const std::string& name) {
    pb::DeleteRequest request;
    request.set_kind(kind);
    request.set_name(name);
    pb::ApplyResponse response;
    const auto status = client_->call("Fleet/Delete", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  grpc::Status list_as(const std::string& token, const pb::ListAuditRequest& request,
                       pb::ListAuditResponse& response) {
    return unary_call(*client_->channel(), "frameworks.v1.Audit/List", token, request, response);
  }
  // "update Tenant/acme spec.plan", newest first, all pages.
  std::vector<std::string> list(pb::ListAuditRequest request, const std::string& token = "") {
    std::vector<std::string> out;
    while (true) {
      pb::ListAuditResponse page;
      const auto status = list_as(token.empty() ? client_->token() : token, request, page);
      EXPECT_TRUE(status.ok()) << status.error_message();
      for (const auto& entry : page.entries()) {
        out.push_back(entry.action() + " " + entry.object());
        entries_.push_back(entry);
      }
      if (!status.ok() || page.next_page_token().empty()) return out;
      request.set_page_token(page.next_page_token());
    }
  }
  static pb::ListAuditRequest of_object(const std::string& object) {
    pb::ListAuditRequest request;
    request.set_object(object);
    return request;
  }
  std::string token(const std::string& account) {
    pb::CreateTokenRequest request;
    request.set_account(account);
    pb::CreateTokenResponse response;
    const auto status = client_->call("Accounts/CreateToken", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.token();
  }

  std::vector<pb::AuditEntry> entries_;
};

using Texts = std::vector<std::string>;

TEST_F(AuditMethodsTest, TellsWhoDidWhatFromWhereNewestFirst) {
  apply("Tenant", "{name: acme}", "{plan: free}");
  apply("Tenant", "{name: acme}", "{plan: pro}");
  apply("Tenant", "{name: globex}", "{plan: free}");
  EXPECT_EQ(list(of_object("Tenant/acme")), (Texts{"update Tenant/acme", "create Tenant/acme"}));
  const pb::AuditEntry& newest = entries_[0];
  EXPECT_EQ(newest.actor(), "account/admin");
  EXPECT_EQ(newest.source(), "grpc 127.0.0.1");
  EXPECT_EQ(newest.hash().size(), 64u);
  ASSERT_EQ(newest.changes_size(), 1);
  EXPECT_EQ(newest.changes(0).field(), "spec.plan");
  EXPECT_EQ(newest.changes(0).before(), "\"free\"");
  EXPECT_EQ(newest.changes(0).after(), "\"pro\"");
  EXPECT_EQ(list(of_object("tenants")).size(), 3u) << "a kind, by any of its names";
  pb::ListAuditRequest between;
  between.set_object("Tenant");
  between.set_after_revision(entries_[1].revision());
  between.set_before_revision(entries_.back().revision() + 1'000);
  EXPECT_EQ(list(between).size(), 2u);
  pb::ListAuditRequest nobody;
  nobody.set_actor("account/nobody");
  EXPECT_EQ(list(nobody), Texts{});
  pb::ListAuditRequest later;
  later.mutable_since()->set_seconds(4'000'000'000);
  EXPECT_EQ(list(later), Texts{});
}

TEST_F(AuditMethodsTest, PagesAreOfAnySizeAndMissNothing) {
  std::string many;
  for (int i = 0; i < 25; ++i)
    many += "---\napiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: t" + std::to_string(i) +
            "}\n";
  client_->apply(FleetClient::yaml(many));  // all at one revision
  pb::ListAuditRequest request = of_object("Tenant");
  const Texts all = list(request);
  EXPECT_EQ(all.size(), 25u);
  for (const int size : {1, 7, 25, 26}) {
    request.set_page_size(size);
    EXPECT_EQ(list(request), all) << size;
  }
  pb::ListAuditResponse none;
  for (const char* token : {"x", "-1", "12x", "99999999999999999999"}) {
    request.set_page_token(token);
    EXPECT_EQ(list_as(client_->token(), request, none).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << token;
  }
  for (const char* object : {"Spaceship", "Tenant/a/b/c", "/"})
    EXPECT_EQ(list_as(client_->token(), of_object(object), none).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << object;
}

TEST_F(AuditMethodsTest, ATenantsCallerSeesItsOwnSinceItsOwnBeginning) {
  apply("Tenant", "{name: acme}", "{plan: from-an-earlier-tenant}");
  remove("tenant", "acme");
  ASSERT_TRUE(
      eventually([&] { return list(of_object("Tenant/acme"))[0] == "delete Tenant/acme"; }));
  apply("Tenant", "{name: acme}");
  apply("Tenant", "{name: globex}");
  apply("Account", "{name: acme-viewer}", "{role: viewer, tenant: acme}");
  apply("Account", "{name: acme-operator}", "{role: operator, tenant: acme}");
  const std::string acme = token("acme-viewer");
  pb::ListAuditRequest request;
  entries_.clear();
  for (const std::string& text : list(request, acme))
    EXPECT_NE(text.find("acme"), std::string::npos) << text;
  ASSERT_FALSE(entries_.empty());
  EXPECT_EQ(entries_.back().action(), "create");
  for (const auto& entry : entries_) {
    EXPECT_EQ(entry.DebugString().find("from-an-earlier-tenant"), std::string::npos);
    if (entry.actor() == "account/admin") {
      EXPECT_EQ(entry.source(), "") << "where the platform's people are";
    }
  }
  pb::ListAuditResponse none;
  request.set_tenant("globex");
  EXPECT_EQ(list_as(acme, request, none).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(none.entries_size(), 0);
}

TEST_F(AuditMethodsTest, SecretsAreNeverTold) {
  apply("Secret", "{name: db}", "{data: {password: hunter2-one}}");
  apply("Secret", "{name: db}", "{data: {password: hunter2-two}}");
  list(of_object("Secret/db"));
  ASSERT_EQ(entries_.size(), 2u);
  ASSERT_EQ(entries_[0].changes_size(), 1) << entries_[0].DebugString();
  EXPECT_EQ(entries_[0].changes(0).field(), "spec.data.password");
  EXPECT_EQ(entries_[0].changes(0).after(), "\"(secret)\"");
  for (const auto& entry : entries_) {
    EXPECT_EQ(entry.DebugString().find("hunter2"), std::string::npos);
    EXPECT_EQ(entry.DebugString().find("sealed"), std::string::npos);
  }
}

TEST_F(AuditMethodsTest, VerifyNamesTheFirstRevisionThatIsNotAsItWasWritten) {
  apply("Tenant", "{name: acme}");
  apply("Tenant", "{name: globex}");
  pb::VerifyAuditRequest request;
  pb::VerifyAuditResponse good;
  const int64_t before = client_->status().revision();  // the system writes meanwhile
  ASSERT_TRUE(client_->call("Audit/Verify", request, good).ok());
  EXPECT_EQ(good.problem(), "");
  EXPECT_GE(good.last_revision(), before);
  // What is on disk is published in a moment.
  EXPECT_TRUE(eventually([&] { return good.last_revision() <= client_->status().revision(); }));
  request.add_expect_hashes(std::to_string(good.last_revision()) + ":" + good.hash());
  pb::VerifyAuditResponse same;
  ASSERT_TRUE(client_->call("Audit/Verify", request, same).ok());
  EXPECT_EQ(same.problem(), "");
  pb::VerifyAuditResponse none;
  for (const char* bad : {"", "1", "x:00", "1:00", ":", "99999999999999999999:00"}) {
    pb::VerifyAuditRequest wrong;
    wrong.add_expect_hashes(bad);
    EXPECT_EQ(client_->call("Audit/Verify", wrong, none).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << bad;
  }
  list(of_object("Tenant/globex"));
  // What was appended together lies together, and is named by the first of it.
  auto log = Sqlite::open(directory_.path() / "state" / "fleet.db");
  const int64_t first = *log->number("SELECT max(position) FROM audit WHERE position >> 20 <= " +
                                     std::to_string(entries_.at(0).revision()));
  ASSERT_TRUE(log->execute(
      ("UPDATE audit SET entries = entries || x'00' WHERE position = " + std::to_string(first))
          .c_str()));
  const int64_t revision = first >> 20;
  pb::VerifyAuditResponse bad;
  ASSERT_TRUE(client_->call("Audit/Verify", pb::VerifyAuditRequest(), bad).ok());
  EXPECT_EQ(bad.problem().find("revision " + std::to_string(revision)), 0u) << bad.problem();
  EXPECT_LT(bad.last_revision(), revision);
}

}  // namespace
}  // namespace frameworks
