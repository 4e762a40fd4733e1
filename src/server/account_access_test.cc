// Accounts and their tokens: who may write and make them, and how long they are good.
#include "base/file.h"
#include "server/access_fixture.h"

namespace frameworks {
namespace {

class AccountAccessTest : public AccessTest {};

TEST_F(AccountAccessTest, OperatorsDoNotWriteAccountsNorSecrets) {
  pb::ApplyResponse response;
  const auto request = FleetClient::yaml(
      "apiVersion: frameworks/v1\nkind: Account\nmetadata: {name: mine}\nspec: {role: admin}\n");
  const auto refused = call(token("operator"), "Fleet/Apply", request, response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED) << refused.error_message();
  EXPECT_TRUE(call(token("chief"), "Fleet/Apply", request, response).ok());
}

TEST_F(AccountAccessTest, TokensAreOfOnesOwnAccountAndNeverMoreThanOneHas) {
  pb::CreateTokenRequest request;
  pb::CreateTokenResponse response;
  request.set_account("viewer");
  const std::string viewer = token("viewer");
  EXPECT_TRUE(call(viewer, "Accounts/CreateToken", request, response).ok());
  request.set_role(pb::ROLE_ADMIN);
  EXPECT_EQ(call(viewer, "Accounts/CreateToken", request, response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_role(pb::ROLE_UNSPECIFIED);
  request.set_account("chief");
  EXPECT_EQ(call(viewer, "Accounts/CreateToken", request, response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  // A lower role of a higher account is what it says.
  request.set_role(pb::ROLE_VIEWER);
  ASSERT_TRUE(call(client_->token(), "Accounts/CreateToken", request, response).ok());
  pb::WhoAmIResponse who;
  ASSERT_TRUE(call(response.token(), "Accounts/WhoAmI", pb::WhoAmIRequest(), who).ok());
  EXPECT_EQ(who.account(), "chief");
  EXPECT_EQ(who.role(), pb::ROLE_VIEWER);
}

TEST_F(AccountAccessTest, AnAccountThatComesBackHasNoOldTokens) {
  const std::string old = token("viewer");
  pb::WhoAmIResponse who;
  ASSERT_TRUE(call(old, "Accounts/WhoAmI", pb::WhoAmIRequest(), who).ok());
  pb::DeleteRequest request;
  request.set_kind("Account");
  request.set_name("viewer");
  pb::ApplyResponse response;
  ASSERT_TRUE(call(client_->token(), "Fleet/Delete", request, response).ok());
  client_->apply(FleetClient::yaml(
      "apiVersion: frameworks/v1\nkind: Account\nmetadata: {name: viewer}\nspec: {role: admin}\n"));
  EXPECT_EQ(call(old, "Accounts/WhoAmI", pb::WhoAmIRequest(), who).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(AccountAccessTest, PruningByOperatorsLeavesAccountsAlone) {
  const std::string operators = token("operator");
  pb::ApplyRequest request =
      FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: acme}\n");
  request.set_prune(true);
  request.set_dry_run(true);
  const auto names_accounts = [&](const std::string& who) {
    pb::ApplyResponse response;
    call(who, "Fleet/Apply", request, response);
    for (const auto& step : response.plan().steps())
      if (step.object().starts_with("Account/")) return true;
    return false;
  };
  EXPECT_TRUE(names_accounts(client_->token()));
  EXPECT_FALSE(names_accounts(operators));
  pb::GetRequest get;
  get.set_kind("Account");
  get.set_name("chief");
  pb::GetResponse found;
  request.set_dry_run(false);
  pb::ApplyResponse response;
  call(operators, "Fleet/Apply", request, response);
  EXPECT_TRUE(call(client_->token(), "Fleet/Get", get, found).ok());
}

TEST_F(AccountAccessTest, AnAddressThatGuessesTokensIsToldToWaitAndItsGoodTokensAreLetIn) {
  HttpClient http(server_->rest_port());
  int told = 0;
  for (int64_t i = 0; i < kWrongTokens + 100 && told == 0; ++i) {
    const auto response = http.request("GET", "/v1/whoami", "fwt_nobody_" + std::to_string(i));
    EXPECT_TRUE(response.status == 401 || response.status == 429) << response.status;
    if (response.status != 429) continue;
    ++told;
    EXPECT_NE(response.head.find("Retry-After: 1"), std::string::npos) << response.head;
  }
  EXPECT_EQ(told, 1);
  EXPECT_EQ(http.request("GET", "/v1/whoami", token("viewer")).status, 200);
}

TEST_F(AccountAccessTest, TheSecretIsOnNoDiskAndTheLastUseIsRecorded) {
  const auto made = make_token("viewer");
  pb::WhoAmIResponse who;
  ASSERT_TRUE(call(made.token(), "Accounts/WhoAmI", pb::WhoAmIRequest(), who).ok());
  EXPECT_EQ(who.token(), made.name());
  EXPECT_TRUE(eventually([&] {
    return client_->get<pb::AccessToken>(made.name()).status().last_use_address() == "127.0.0.1";
  }));
  const std::string secret = made.token().substr(made.token().rfind('_') + 1);
  for (const auto& file : std::filesystem::directory_iterator(directory_.path() / "state"))
    if (file.is_regular_file()) {
      EXPECT_EQ(read_file(file.path())->find(secret), std::string::npos) << file.path();
    }
}

TEST_F(AccountAccessTest, ATokenBeyondItsRateWaits) {
  pb::CreateTokenRequest request;
  request.set_account("viewer");
  request.set_rate(3);
  pb::CreateTokenResponse response;
  ASSERT_TRUE(call(client_->token(), "Accounts/CreateToken", request, response).ok());
  int refused = 0;
  pb::WhoAmIResponse who;
  for (int i = 0; i < 20; ++i)
    refused += call(response.token(), "Accounts/WhoAmI", pb::WhoAmIRequest(), who).error_code() ==
               grpc::StatusCode::RESOURCE_EXHAUSTED;
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace frameworks
