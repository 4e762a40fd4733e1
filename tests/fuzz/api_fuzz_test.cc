// Every method, with every field wrong in every way, by every sort of caller, at the real server:
// it never fails (no 5xx, no crash), never tells of what the caller may not see, goes on answering,
// and starts again from what it has stored.
//
// FW_FUZZ_SECONDS (default 20) and FW_FUZZ_SEED (default 1) say how long and what; a failure prints
// the seed, the number of the request and the request.
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <set>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/audit_api.pb.h"
#include "generator.h"
#include "model/json.h"
#include "server/fleet_client.h"
#include "server/server_process.h"
#include "server/test_accounts.h"

namespace frameworks {
namespace {

using google::protobuf::MethodDescriptor;

// What belongs to the other tenant begins with "qq"; the secret's value is in nobody's answer.
constexpr const char* kForeign = "qq";
constexpr const char* kSecret = "hunter2hunter2";
const std::string kFleet = R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
---
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: qqglobex}
spec: {displayName: qqname, subdomain: qqsub}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: shared}
spec: {tier: edge, region: eu-west, networks: {mesh: 10.64.1.0/24}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: acme-own}
spec: {tier: edge, region: eu-west, owner: acme, sharing: customer-managed, networks: {mesh: 10.64.2.0/24}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: qqglobex-own}
spec: {tier: edge, region: qqregion, owner: qqglobex, sharing: customer-managed, networks: {mesh: 10.64.3.0/24}}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: shared, tenant: acme}
spec: {cluster: shared}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: qqsecret-deal, tenant: qqglobex}
spec: {cluster: shared}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: qqglobex-own-1}
spec: {cluster: qqglobex-own, address: 192.0.2.7}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: acme-own-1}
spec: {cluster: acme-own, address: 192.0.2.8}
---
apiVersion: frameworks/v1
kind: Secret
metadata: {name: password}
spec: {data: {value: hunter2hunter2}}
)";

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Who {
  std::string name, token;
  bool bound = false;  // to acme
};

struct Answer {
  std::string text;    // all that the caller gets to read
  std::string failed;  // why it must not be so
};

class ApiFuzz : public ::testing::Test {
 protected:
  ApiFuzz()
      : directory_(std::move(*TemporaryDirectory::make())), state_(directory_.path() / "state") {
    server_ = std::make_unique<ServerProcess>(state_);
    client_ = std::make_unique<FleetClient>(state_, server_->grpc_port());
    for (const auto* file :
         {pb::GetRequest::descriptor()->file(), pb::TenantKey::descriptor()->file(),
          pb::CreateTokenRequest::descriptor()->file(), pb::ListAuditRequest::descriptor()->file()})
      for (int i = 0; i < file->service_count(); ++i)
        for (int j = 0; j < file->service(i)->method_count(); ++j)
          methods_.push_back(file->service(i)->method(j));
    prepare();
    for (const auto* method : methods_)
      if (call_grpc(*method, {}, {"root", client_->token()}, 200).first ==
          grpc::StatusCode::UNIMPLEMENTED)
        unserved_.insert(method);
  }

  // The fleet and the tokens as they should be: what was fuzzed may have changed them.
  void prepare() {
    pb::ApplyResponse applied;
    (void)client_->call(
        "Fleet/Apply",
        FleetClient::yaml(kFleet + account_documents({{"viewer", "viewer"},
                                                      {"operator", "operator"},
                                                      {"chief", "admin"},
                                                      {"acme-viewer", "viewer", "acme"},
                                                      {"acme-operator", "operator", "acme"},
                                                      {"acme-admin", "admin", "acme"}})),
        applied);
    callers_ = {{"nobody", ""}, {"wrong", "fwt_0123456789ab_AAAAAAAAAAAAAAAAAAAA"}};
    for (const char* account :
         {"viewer", "operator", "chief", "acme-viewer", "acme-operator", "acme-admin"}) {
      pb::CreateTokenRequest request;
      request.set_account(account);
      pb::CreateTokenResponse response;
      if (client_->call("Accounts/CreateToken", request, response).ok())
        callers_.push_back({account, response.token(), std::string(account).starts_with("acme")});
    }
  }

  std::pair<grpc::StatusCode, std::string> call_grpc(const MethodDescriptor& method,
                                                     const std::string& bytes, const Who& caller,
                                                     int milliseconds) {
    grpc::ClientContext context;
    if (!caller.token.empty()) context.AddMetadata("authorization", "Bearer " + caller.token);
    context.set_deadline(std::chrono::system_clock::time_point(
        system_clock().wall() + std::chrono::milliseconds(milliseconds)));
    const std::string path = "/" + method.service()->full_name() + "/" + method.name();
    const grpc::internal::RpcMethod rpc(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    const grpc::Status status =
        grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer, grpc::ByteBuffer,
                                          grpc::ByteBuffer>(client_->channel().get(), rpc, &context,
                                                            request, &response);
    std::string text = status.error_message() + status.error_details();
    std::vector<grpc::Slice> slices;
    if (status.ok() && response.Valid() && response.Dump(&slices).ok())
      for (const grpc::Slice& part : slices)
        text.append(reinterpret_cast<const char*>(part.begin()), part.size());
    return {status.error_code(), text};
  }

  Answer by_grpc(const MethodDescriptor& method, const std::string& bytes, const Who& caller) {
    const bool stream = method.server_streaming();
    const auto [code, text] = call_grpc(method, bytes, caller, stream ? 150 : 20'000);
    Answer out{text, ""};
    const bool bad = code == grpc::StatusCode::INTERNAL || code == grpc::StatusCode::UNKNOWN ||
                     code == grpc::StatusCode::DATA_LOSS ||
                     (code == grpc::StatusCode::UNIMPLEMENTED && !unserved_.contains(&method)) ||
                     (code == grpc::StatusCode::DEADLINE_EXCEEDED && !stream);
    if (bad) out.failed = "gRPC code " + std::to_string(code) + ": " + text;
    return out;
  }

  Answer by_rest(const std::string& request, bool head_only, const MethodDescriptor& method) {
    HttpClient http(server_->rest_port());
    http.send(request);
    HttpClient::Response response;
    try {
      response = http.read_response();
    } catch (const std::exception&) {
      return {"", "no HTTP: " + response.head};
    }
    Answer out{response.head + response.body, ""};
    const bool unavailable = response.status == 503 || response.status == 504;
    const bool unserved = response.status == 501 && unserved_.contains(&method);
    if (response.status < 200 || (response.status >= 500 && !unavailable && !unserved))
      out.failed = "REST status " + std::to_string(response.status);
    if (response.head.find("json") != std::string::npos && !head_only && response.status != 304 &&
        !parse_json(response.body))
      out.failed = "REST body is no JSON";
    return out;
  }

  TemporaryDirectory directory_;
  const std::filesystem::path state_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<FleetClient> client_;
  std::vector<const MethodDescriptor*> methods_;
  std::set<const MethodDescriptor*> unserved_;
  std::vector<Who> callers_;
};

std::string percent_encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-') {
      out += c;
    } else {
      out += '%';
      out += hex_encode(std::string(1, c));
    }
  }
  return out;
}

std::string target(Generator& make, const pb::HttpRoute& route) {
  std::string out;
  for (const std::string& segment : split(std::string_view(route.path()).substr(1), '/'))
    out += "/" +
           (segment.starts_with('{')
                ? percent_encoded(make.text(segment.substr(1, segment.size() - 2), make.one_in(9)))
                : segment);
  for (char mark = '?'; make.one_in(3); mark = '&')
    out += mark +
           make.one_of<std::string>({"tenant", "pageSize", "fields", "filter", "dryRun", "a%00b",
                                     "ifRevision", "pageToken", "kinds", "%"}) +
           "=" + percent_encoded(make.text("filter", make.one_in(9)));
  return out.substr(0, 8000);
}

// A whole request as text; its body JSON of the message, distorted.
std::string rest_request(Generator& make, const pb::HttpRoute& route, const Message& message,
                         const std::string& token, bool tame) {
  std::string body;
  if (route.verb() == "POST" || make.one_in(10)) {
    boost::json::value json = to_json(message, Secrets::kShow);
    if (!tame && make.one_in(2)) make.distort(json);
    body = json_text(json);
    if (!tame && make.one_in(8)) body = make.broken(body);
    if (make.one_in(30)) body = std::string(2000, '[') + body;
    if (make.one_in(30) && body.size() > 2) body.insert(1, body.substr(1, body.size() - 2) + ",");
  }
  std::string out = (make.one_in(20) ? make.one_of<std::string>({"HEAD", "PUT", "OPTIONS", "BREW"})
                                     : route.verb()) +
                    " " + target(make, route) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
  if (!token.empty()) out += "Authorization: Bearer " + token + "\r\n";
  if (make.one_in(10))
    out +=
        "Content-Type: " +
        make.one_of<std::string>({"text/plain", "application/json; charset=utf-16", "a/b+json"}) +
        "\r\n";
  if (make.one_in(10))
    out += "Accept: " + make.one_of<std::string>({"text/css", "*/*;q=0"}) + "\r\n";
  if (make.one_in(10))
    out += make.one_of<std::string>({"If-Match: \"1\"", "If-None-Match: \"0\"", "If-Match: *",
                                     "Last-Event-ID: -1", "Last-Event-ID: 99999999999"}) +
           "\r\n";
  return out + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// A write that names what is the other tenant's is only planned: stored, the names would be part of
// what the first tenant may see. True: send it as it is.
bool hold_back(const MethodDescriptor& method, Message& message) {
  if (!method.options().GetExtension(pb::writes)) return false;
  if (message.SerializePartialAsString().find(kForeign) == std::string::npos) return false;
  message.GetReflection()->SetBool(&message, method.input_type()->FindFieldByName("dry_run"), true);
  return true;
}

std::string leak_of(const Who& caller, const std::string& request, const std::string& answer) {
  const auto tells = [&](const char* what) {
    return answer.find(what) != std::string::npos && request.find(what) == std::string::npos;
  };
  if (tells(kSecret)) return "the answer holds a secret's value";
  // Whole names: two letters are in many a token.
  for (const char* name : {"qqglobex", "qqsecret-deal", "qqname", "qqsub", "qqregion"})
    if (caller.bound && tells(name)) return "the answer tells of another tenant";
  return {};
}

TEST_F(ApiFuzz, NothingThatIsSentBreaksOrLeaksAnything) {
  const uint64_t seed = setting("FW_FUZZ_SEED", 1);
  const auto until = system_clock().mono() + std::chrono::seconds(setting("FW_FUZZ_SECONDS", 20));
  std::cout << "seed " << seed << std::endl;
  uint64_t number = 0;
  for (; system_clock().mono() < until; ++number) {
    Generator make(seed * 1'000'003 + number);
    if (number % 400 == 399) prepare();
    const MethodDescriptor& method = *make.one_of(methods_);
    const Who caller = make.one_of(callers_);
    const std::unique_ptr<Message> message(google::protobuf::MessageFactory::generated_factory()
                                               ->GetPrototype(method.input_type())
                                               ->New());
    make.fill(*message);
    const bool tame = hold_back(method, *message);
    const pb::HttpRoute& route = method.options().GetExtension(pb::http);
    Answer answer;
    std::string request;
    if (route.path().empty() || make.one_in(2)) {
      request = message->SerializePartialAsString();
      if (!tame && make.one_in(6)) request = make.broken(request);
      answer = by_grpc(method, request, caller);
      request = message->ShortDebugString() + request;
    } else {
      request = rest_request(make, route, *message, caller.token, tame);
      answer = by_rest(request, request.starts_with("HEAD"), method);
    }
    const std::string leak = leak_of(caller, request, answer.text);
    ASSERT_TRUE(server_->runs() && answer.failed.empty() && leak.empty())
        << "seed " << seed << ", request " << number << ": " << method.full_name() << " as "
        << caller.name << ": " << answer.failed << leak
        << (server_->runs() ? "" : " THE SERVER HAS ENDED: " + server_->log())
        << "\nrequest: " << request.substr(0, 3000) << "\nanswer: " << answer.text.substr(0, 2000);
  }
  std::cout << number << " requests" << std::endl;
  RecordProperty("requests", static_cast<int>(number));
  EXPECT_GT(number, 100u);
  // What was stored on the way is no poison.
  const int status = server_->end(SIGTERM);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status << server_->log();
  ServerProcess again(state_);
  FleetClient client(state_, again.grpc_port());
  EXPECT_GT(client.status().revision(), 0);
}

}  // namespace
}  // namespace frameworks
