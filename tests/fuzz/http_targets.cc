// What comes in by REST and gRPC: HTTP/1.1, requests by path, query, headers and body, and
// messages as bytes.
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/audit_api.pb.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "model/json.h"
#include "model/pack.h"
#include "server/grpc_wire.h"
#include "server/rest_request.h"
#include "target.h"

namespace frameworks {
namespace {

using State = HttpReading::State;
constexpr size_t kHeadLimit = 16 << 10;
constexpr size_t kBodyLimit = 64 << 10;

// However its bytes arrive, a head reads the same.
void http_head(std::string_view bytes) {
  size_t searched = 0;
  HttpHead whole;
  const HttpReading at_once = read_http_head(bytes, kHeadLimit, searched, whole);
  if (at_once.state == State::kDone) {
    CHECK(whole.size <= bytes.size() && whole.size >= 4);
    CHECK(whole.headers().size() <= HttpHead::kMaxHeaders);
    read_conditions(whole);
    (void)accepts(whole.find("accept"), "application/json");
    (void)is_json_type(whole.find("content-type"));
  }
  // Nor does it matter what was read before.
  searched = 0;
  const size_t headers = whole.headers().size();
  const size_t size_before = whole.size;
  CHECK(read_http_head(bytes, kHeadLimit, searched, whole).state == at_once.state);
  CHECK(at_once.state != State::kDone ||
        (whole.headers().size() == headers && whole.size == size_before));
  searched = 0;
  HttpHead pieces;
  HttpReading reading;
  for (size_t size = 0; size <= bytes.size() && reading.state == State::kMore; size += 1 + size / 8)
    reading = read_http_head(bytes.substr(0, size), kHeadLimit, searched, pieces);
  if (reading.state == State::kMore) reading = read_http_head(bytes, kHeadLimit, searched, pieces);
  CHECK(reading.state == at_once.state);
  CHECK(reading.state != State::kDone || pieces.size == whole.size);
}

void chunked_body(std::string_view bytes) {
  ChunkedBody whole;
  std::string body;
  size_t taken = 0;
  const HttpReading at_once = whole.feed(bytes, kBodyLimit, body, taken);
  CHECK(body.size() <= kBodyLimit && taken <= bytes.size());
  ChunkedBody pieces;
  std::string same;
  HttpReading reading;
  size_t used = 0;
  while (used < bytes.size() && reading.state == State::kMore) {
    size_t step = 0;
    reading = pieces.feed(bytes.substr(used, 1), kBodyLimit, same, step);
    used += step;
    CHECK(step == 1 || reading.state != State::kMore);
  }
  CHECK(reading.state == at_once.state);
  CHECK(at_once.state == State::kRefused || body == same);
}

Api& table() {
  static Api& api = *[] {
    auto* out = new Api;
    const auto add = [&]<typename Request, typename Response>(std::string_view name) {
      out->add<Request, Response>(
          name, Runs::kInline, [](const Caller&, const Request&, Response&) { return Status(); });
    };
    add.operator()<pb::GetRequest, pb::GetResponse>("frameworks.v1.Fleet/Get");
    add.operator()<pb::ListRequest, pb::ListResponse>("frameworks.v1.Fleet/List");
    add.operator()<pb::ApplyRequest, pb::ApplyResponse>("frameworks.v1.Fleet/Apply");
    add.operator()<pb::DeleteRequest, pb::ApplyResponse>("frameworks.v1.Fleet/Delete");
    add.operator()<pb::StatusRequest, pb::StatusResponse>("frameworks.v1.Fleet/Status");
    add.operator()<pb::SetPowerRequest, pb::SetPowerResponse>("frameworks.v1.Machines/SetPower");
    add.operator()<pb::CreateTenantRequest, pb::TenantResponse>("frameworks.v1.Tenants/Create");
    add.operator()<pb::UpdateTenantRequest, pb::TenantResponse>("frameworks.v1.Tenants/Update");
    add.operator()<pb::FindTenantContextRequest, pb::TenantContext>(
        "frameworks.v1.Tenants/FindContext");
    add.operator()<pb::GetTenantContextRequest, pb::TenantContext>(
        "frameworks.v1.Tenants/GetContext");
    add.operator()<pb::VerifyDomainRequest, pb::VerifyDomainResponse>(
        "frameworks.v1.Tenants/VerifyDomain");
    add.operator()<pb::CreateInviteRequest, pb::CreateInviteResponse>(
        "frameworks.v1.Grants/CreateInvite");
    add.operator()<pb::ApproveGrantRequest, pb::GrantResponse>("frameworks.v1.Grants/Approve");
    add.operator()<pb::CreateTokenRequest, pb::CreateTokenResponse>(
        "frameworks.v1.Accounts/CreateToken");
    add.operator()<pb::ListAuditRequest, pb::ListAuditResponse>("frameworks.v1.Audit/List");
    return out;
  }();
  return api;
}

// What a handler would do first with any request.
void look_at(const Method& method, Message& request) {
  (void)scope(method, {pb::ACCESS_OPERATOR, "account/one", "acme"}, request);
  (void)method.rules->check(request);
  for (const Secrets secrets : {Secrets::kMask, Secrets::kShow})
    (void)json_text(to_json(request, secrets));
}

// "POST /v1/apply?a=b", a line end, the body.
void rest_request(std::string_view bytes) {
  static Metrics& metrics = *new Metrics;
  static const RestRoutes& routes = *new RestRoutes(table(), metrics);
  const size_t line = std::min(bytes.find('\n'), bytes.size());
  std::string_view target = bytes.substr(0, line);
  const std::string_view body = bytes.substr(std::min(bytes.size(), line + 1));
  const size_t blank = std::min(target.find(' '), target.size());
  const std::string_view verb = target.substr(0, blank);
  target.remove_prefix(std::min(target.size(), blank + 1));
  const size_t question = std::min(target.find('?'), target.size());
  const auto match = routes.match(verb, target.substr(0, question));
  if (match.route == nullptr) return;
  const std::unique_ptr<Message> request(match.route->method->request->New());
  const std::string_view query = target.substr(std::min(target.size(), question + 1));
  if (!fill_request(match, query, body, *request)) return;
  look_at(*match.route->method, *request);
}

// A choice of the method, then its request as gRPC carries it.
// However its bytes arrive, a stream of gRPC has the same messages, and the same end.
void grpc_messages(std::string_view bytes) {
  const auto read = [&](size_t step) {
    std::pair<std::vector<std::string>, int> out;
    GrpcMessages messages;
    for (size_t at = 0; at < bytes.size() && out.second == 0; at += step) {
      const Status fed = messages.feed(bytes.substr(at, step), kBodyLimit,
                                       [&](std::string_view message) -> Status {
                                         out.first.emplace_back(message);
                                         return {};
                                       });
      if (!fed) out.second = static_cast<int>(fed.error().code());
    }
    CHECK(out.second != 0 || messages.held() <= kBodyLimit + kGrpcPrefixBytes);
    return out;
  };
  CHECK(read(std::max<size_t>(bytes.size(), 1)) == read(1));
  if (const auto timeout = parse_grpc_timeout(bytes)) CHECK(*timeout >= Duration(0));
  for (const char c : grpc_percent_encode(bytes)) CHECK(c >= ' ' && c <= '~');
}

void grpc_request(std::string_view bytes) {
  const auto& methods = table().methods();
  const Method& method = *methods[take_choice(bytes) % methods.size()];
  const std::unique_ptr<Message> request(method.request->New());
  if (!request->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  if (const auto* apply = dynamic_cast<const pb::ApplyRequest*>(request.get()))
    for (const auto& item : apply->items()) (void)unpack(item.resource());
  look_at(method, *request);
}

}  // namespace

void add_http_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"http_head", http_head},
                         {"http_chunked_body", chunked_body},
                         {"grpc_messages", grpc_messages},
                         {"rest_request", rest_request},
                         {"grpc_request", grpc_request}});
}

}  // namespace frameworks
