// The commands about tenants, grants, invites and domains: what they ask for, and what they say.
#include <gtest/gtest.h>

#include <sstream>

#include "base/text.h"
#include "cli/app.h"
#include "cli/fake_quartermaster.h"
#include "frameworks/v1/tenants_api.grpc.pb.h"

namespace frameworks::cli {
namespace {

// Answers what it was asked for, and remembers it. The real one is tested in src/server.
class FakeTenants final : public pb::Tenants::Service {
 public:
  grpc::Status Create(grpc::ServerContext*, const pb::CreateTenantRequest* request,
                      pb::TenantResponse* response) override {
    created = *request;
    *response->mutable_tenant() = request->tenant();
    for (const auto& domain : request->tenant().spec().domains()) {
      auto& status = *response->mutable_tenant()->mutable_status()->add_domains();
      status.set_domain(domain);
      status.set_state(pb::DOMAIN_STATE_PENDING);
      status.set_challenge("frameworks-domain=abc");
    }
    return grpc::Status::OK;
  }
  grpc::Status Update(grpc::ServerContext*, const pb::UpdateTenantRequest* request,
                      pb::TenantResponse* response) override {
    updated = *request;
    *response->mutable_tenant() = request->tenant();
    return grpc::Status::OK;
  }
  grpc::Status Suspend(grpc::ServerContext*, const pb::SuspendTenantRequest* request,
                       pb::TenantResponse* response) override {
    response->mutable_tenant()->mutable_metadata()->set_name(request->tenant());
    return grpc::Status::OK;
  }
  grpc::Status Delete(grpc::ServerContext*, const pb::DeleteTenantRequest* request,
                      pb::TenantResponse* response) override {
    deletions += request->dry_run() ? 0 : 1;
    response->mutable_tenant()->mutable_metadata()->set_name(request->tenant());
    for (const char* text : {"2 grants", "names \"acme\""})
      response->mutable_tenant()->mutable_status()->add_waiting(text);
    return grpc::Status::OK;
  }
  grpc::Status VerifyDomain(grpc::ServerContext*, const pb::VerifyDomainRequest* request,
                            pb::VerifyDomainResponse* response) override {
    auto& domain = *response->mutable_domain();
    domain.set_domain(request->domain());
    domain.set_state(verified ? pb::DOMAIN_STATE_VERIFIED : pb::DOMAIN_STATE_FAILED);
    domain.set_challenge("frameworks-domain=abc");
    if (!verified) domain.set_message("there is no TXT record");
    return grpc::Status::OK;
  }
  grpc::Status GetContext(grpc::ServerContext*, const pb::GetTenantContextRequest* request,
                          pb::TenantContext* response) override {
    response->set_tenant(request->tenant());
    response->set_primary_cluster("eu-edge");
    auto& cluster = *response->add_clusters();
    cluster.set_cluster("eu-edge");
    cluster.set_level(pb::GRANT_LEVEL_OPERATE);
    cluster.mutable_limits()->set_streams(5);
    return grpc::Status::OK;
  }

  pb::CreateTenantRequest created;
  pb::UpdateTenantRequest updated;
  int deletions = 0;
  bool verified = false;
};

class FakeGrants final : public pb::Grants::Service {
 public:
  grpc::Status Request(grpc::ServerContext*, const pb::RequestGrantRequest* request,
                       pb::GrantResponse* response) override {
    return answer(request->tenant(), request->cluster(), request->level(), *response);
  }
  grpc::Status Approve(grpc::ServerContext*, const pb::ApproveGrantRequest* request,
                       pb::GrantResponse* response) override {
    approved = *request;
    return answer(request->tenant(), request->grant(), pb::GRANT_LEVEL_USE, *response);
  }
  grpc::Status CreateInvite(grpc::ServerContext*, const pb::CreateInviteRequest* request,
                            pb::CreateInviteResponse* response) override {
    invited = *request;
    response->set_name("i1");
    response->set_token("fwi_i1_secret");
    return grpc::Status::OK;
  }
  grpc::Status AcceptInvite(grpc::ServerContext*, const pb::AcceptInviteRequest* request,
                            pb::GrantResponse* response) override {
    if (request->code() != "fwi_i1_secret") return {grpc::StatusCode::NOT_FOUND, "no such invite"};
    return answer(request->tenant(), "eu-edge", pb::GRANT_LEVEL_USE, *response);
  }

  pb::ApproveGrantRequest approved;
  pb::CreateInviteRequest invited;

 private:
  static grpc::Status answer(const std::string& tenant, const std::string& cluster,
                             pb::GrantLevel level, pb::GrantResponse& response) {
    response.mutable_grant()->mutable_metadata()->set_tenant(tenant);
    response.mutable_grant()->mutable_metadata()->set_name(cluster);
    response.mutable_grant()->mutable_spec()->set_cluster(cluster);
    response.mutable_grant()->mutable_spec()->set_level(level);
    return grpc::Status::OK;
  }
};

class TenantCommands : public ::testing::Test {
 protected:
  // Exit code, then what was said.
  std::string say(const std::string& line) {
    std::ostringstream out;
    std::ostringstream err;
    Context context{.terminal = {out, err}, .profile = server_.profile(), .clock = system_clock()};
    context.confirm = confirm_;
    std::vector<std::string> words;
    for (const std::string& word : split(line, ' '))
      if (!word.empty()) words.push_back(word);
    const int code = run_cli(words, context);
    err_ = err.str();
    return std::to_string(code) + " " + out.str();
  }

  FakeTenants tenants_;
  FakeGrants grants_;
  FakeQuartermaster server_{{&tenants_, &grants_}};
  std::function<bool(const std::string&)> confirm_;
  std::string err_;
};

TEST_F(TenantCommands, CreateTakesLimitsFeaturesAndDomains) {
  EXPECT_EQ(
      say("tenant create acme --plan pro --limit streams=50 --limit bandwidthMbps=900 "
          "--feature dvr=true --feature rate=2.5 --feature region=eu --domain tv.acme.example"),
      "0 Tenant/acme created\n"
      "  tv.acme.example needs the DNS record: _frameworks.tv.acme.example TXT "
      "\"frameworks-domain=abc\"\n");
  const pb::TenantSpec& spec = tenants_.created.tenant().spec();
  EXPECT_EQ(spec.plan(), "pro");
  EXPECT_EQ(spec.limits().streams(), 50);
  EXPECT_EQ(spec.limits().bandwidth_mbps(), 900);
  EXPECT_TRUE(spec.features().at("dvr").bool_value());
  EXPECT_EQ(spec.features().at("rate").number_value(), 2.5);
  EXPECT_EQ(spec.features().at("region").string_value(), "eu");
  EXPECT_EQ(say("tenant create acme --limit sreams=50"), "2 ");
  EXPECT_NE(err_.find("there are clusters, nodes, streams"), std::string::npos) << err_;
  EXPECT_EQ(say("tenant create acme --limit streams=-1"), "2 ");
  EXPECT_EQ(say("tenant create acme --dry-run"), "0 Tenant/acme would be created\n");
  EXPECT_TRUE(tenants_.created.dry_run());
}

TEST_F(TenantCommands, UpdateSendsWhatIsGivenOfTheRevisionThatWasRead) {
  pb::Tenant stored;
  stored.mutable_metadata()->set_name("acme");
  stored.mutable_metadata()->set_revision(7);
  stored.mutable_spec()->set_plan("free");
  stored.mutable_spec()->add_domains("old.example.org");
  (*stored.mutable_spec()->mutable_features())["beta"].set_bool_value(true);
  server_.fleet.put(Resource::of(stored));
  EXPECT_EQ(say("tenant update acme --feature beta= --domain new.example.org --no-domain "
                "old.example.org --limit nodes=8"),
            "0 Tenant/acme changed\n");
  const auto& sent = tenants_.updated;
  EXPECT_EQ(sent.tenant().metadata().revision(), 7);
  EXPECT_EQ(std::vector<std::string>(sent.fields().begin(), sent.fields().end()),
            (std::vector<std::string>{"spec.domains", "spec.limits", "spec.features"}));
  EXPECT_TRUE(sent.tenant().spec().features().empty());
  ASSERT_EQ(sent.tenant().spec().domains_size(), 1);
  EXPECT_EQ(sent.tenant().spec().domains(0), "new.example.org");
  EXPECT_EQ(say("tenant update acme"), "2 ");
  EXPECT_EQ(say("tenant suspend acme"), "0 Tenant/acme suspended\n");
}

TEST_F(TenantCommands, DeleteShowsTheOrderAndTakesAYes) {
  EXPECT_EQ(say("tenant delete acme --dry-run"),
            "0 Tenant/acme would be deleted, in this order:\n  1. 2 grants\n  2. names \"acme\"\n");
  EXPECT_EQ(say("tenant delete acme"), "2 ") << "nobody is there to be asked";
  EXPECT_NE(err_.find("  1. 2 grants\n"), std::string::npos) << err_;
  confirm_ = [](const std::string&) { return false; };
  EXPECT_EQ(say("tenant delete acme"), "1 ");
  EXPECT_EQ(tenants_.deletions, 0);
  confirm_ = [](const std::string&) { return true; };
  EXPECT_EQ(say("tenant delete acme"), "0 Tenant/acme is being deleted\n");
  confirm_ = nullptr;
  EXPECT_EQ(say("tenant delete acme --yes --wait"), "0 Tenant/acme is being deleted\n");
  EXPECT_NE(err_.find("Tenant/acme is gone"), std::string::npos) << err_;
  EXPECT_EQ(tenants_.deletions, 2);
}

TEST_F(TenantCommands, ClustersAreThoseOfTheContext) {
  const std::string said = say("tenant clusters acme");
  EXPECT_NE(said.find("eu-edge"), std::string::npos);
  EXPECT_NE(said.find("operate"), std::string::npos);
  EXPECT_NE(said.find("streams 5"), std::string::npos);
}

TEST_F(TenantCommands, GrantsAreAskedForApprovedAndListed) {
  EXPECT_EQ(say("grant request --tenant acme --cluster eu-edge --level operate"),
            "0 Grant/acme/eu-edge requested: operate of eu-edge\n");
  EXPECT_EQ(say("grant request --tenant acme --cluster eu-edge --level king"), "2 ");
  EXPECT_EQ(say("grant approve eu-edge --tenant acme --expires 2027-01-31T12:00:00Z --limit "
                "streams=5"),
            "0 Grant/acme/eu-edge approved: use of eu-edge\n");
  EXPECT_EQ(grants_.approved.expire_time().seconds(), 1801396800);
  EXPECT_EQ(grants_.approved.limits().streams(), 5);
  EXPECT_EQ(say("grant approve eu-edge --tenant acme --expires tomorrow"), "2 ");
  for (const auto& [name, state] : std::vector<std::pair<std::string, pb::GrantState>>{
           {"eu-edge", pb::GRANT_STATE_REQUESTED}, {"us-edge", pb::GRANT_STATE_ACTIVE}}) {
    pb::Grant grant;
    grant.mutable_metadata()->set_name(name);
    grant.mutable_metadata()->set_tenant("acme");
    grant.mutable_spec()->set_cluster(name);
    grant.mutable_status()->set_state(state);
    server_.fleet.put(Resource::of(grant));
  }
  const std::string waiting = say("grant list --state requested");
  EXPECT_NE(waiting.find("eu-edge"), std::string::npos) << waiting;
  EXPECT_EQ(waiting.find("us-edge"), std::string::npos) << waiting;
}

TEST_F(TenantCommands, AnInvitesCodeStandsAloneOnStandardOutput) {
  EXPECT_EQ(say("invite create --cluster eu-edge --uses 3 --ttl 24h"), "0 fwi_i1_secret\n");
  EXPECT_EQ(grants_.invited.ttl().seconds(), 86400);
  EXPECT_EQ(grants_.invited.max_uses(), 3);
  EXPECT_EQ(say("invite accept fwi_i1_secret --tenant acme"),
            "0 Grant/acme/eu-edge given: use of eu-edge\n");
  EXPECT_EQ(say("invite accept wrong --tenant acme"), "1 ");
}

TEST_F(TenantCommands, ADomainThatIsNotVerifiedIsExitCodeOneAndTellsTheRecord) {
  EXPECT_EQ(say("domain verify tv.acme.example --tenant acme"),
            "1 tv.acme.example is failed: there is no TXT record\n"
            "  wanted: _frameworks.tv.acme.example TXT \"frameworks-domain=abc\"\n");
  tenants_.verified = true;
  EXPECT_EQ(say("domain verify tv.acme.example --tenant acme"), "0 tv.acme.example is verified\n");
  pb::Tenant tenant;
  tenant.mutable_metadata()->set_name("acme");
  auto& domain = *tenant.mutable_status()->add_domains();
  domain.set_domain("tv.acme.example");
  domain.set_state(pb::DOMAIN_STATE_VERIFIED);
  server_.fleet.put(Resource::of(tenant));
  EXPECT_NE(say("domain list --tenant acme").find("verified"), std::string::npos);
}

}  // namespace
}  // namespace frameworks::cli
