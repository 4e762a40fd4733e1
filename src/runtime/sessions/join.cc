#include "runtime/sessions/join.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <array>
#include <atomic>

#include "base/log.h"
#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

// Tokens that are of no use any more are kept this long, for those who ask why a node cannot join.
constexpr int64_t kKeepSeconds = 24 * 3600;
constexpr int64_t kDefaultTtlSeconds = 3600;
// Writes of refused tries under way at once; more tries are counted in the metrics only, so that
// nobody floods the store from outside.
constexpr int kMaxRefusedWrites = 16;

google::protobuf::Timestamp timestamp(WallTime time) {
  return TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

bool is_before(const google::protobuf::Timestamp& a, const google::protobuf::Timestamp& b) {
  return TimeUtil::TimestampToNanoseconds(a) < TimeUtil::TimestampToNanoseconds(b);
}

struct TokenText {
  std::string_view name;
  std::string_view secret;
};

TokenText parse(std::string_view token) {
  const size_t dot = token.find('.');
  if (dot == std::string_view::npos) return {};
  return {token.substr(0, dot), token.substr(dot + 1)};
}

void remove_stale(Transaction& transaction) {
  google::protobuf::Timestamp limit = timestamp(transaction.time());
  limit.set_seconds(limit.seconds() - kKeepSeconds);
  for (const auto& token : transaction.snapshot().list<pb::JoinToken>())
    if (is_before(token->spec().expire_time(), limit))
      transaction.remove({"JoinToken", {}, token->metadata().name()});
}

Status check_targets(const Snapshot& snapshot, const pb::CreateJoinTokenRequest& request) {
  if (snapshot.find<pb::Cluster>(request.cluster()) == nullptr)
    return Error(Code::kNotFound, fmt::format("cluster \"{}\": not found", request.cluster()));
  if (request.node().empty()) return {};
  const auto* node = snapshot.find<pb::Node>(request.node());
  if (node == nullptr)
    return Error(Code::kNotFound, fmt::format("node \"{}\": not found", request.node()));
  if (node->spec().cluster() != request.cluster())
    return Error(Code::kFailedPrecondition,
                 fmt::format("node \"{}\" belongs to cluster \"{}\", not \"{}\"", request.node(),
                             node->spec().cluster(), request.cluster()));
  return {};
}

}  // namespace

Result<pb::CreateJoinTokenResponse> create_join_token(Store& store, const Actor& actor,
                                                      const pb::CreateJoinTokenRequest& request) {
  const std::string secret = hex_encode(random_bytes(32));
  pb::CreateJoinTokenResponse response;
  response.set_name("join-" + hex_encode(random_bytes(6)));
  response.set_token(response.name() + "." + secret);
  const auto make = [&](Transaction& transaction) -> Status {
    RETURN_IF_ERROR(check_targets(transaction.snapshot(), request));
    remove_stale(transaction);
    pb::JoinToken token;
    token.mutable_metadata()->set_name(response.name());
    auto& spec = *token.mutable_spec();
    spec.set_cluster(request.cluster());
    spec.set_node(request.node());
    spec.set_max_uses(request.max_uses() == 0 ? 1 : request.max_uses());
    spec.set_secret_hash(sha256_hex(secret));
    const int64_t ttl = request.has_ttl() && request.ttl().seconds() > 0 ? request.ttl().seconds()
                                                                         : kDefaultTtlSeconds;
    *spec.mutable_expire_time() = timestamp(transaction.time() + std::chrono::seconds(ttl));
    *response.mutable_expire_time() = spec.expire_time();
    transaction.put(std::move(token));
    return {};
  };
  const auto committed =
      request.dry_run() ? store.dry_run(make, nullptr) : store.write(actor, make);
  if (!committed) return committed.error();
  // What was not made cannot be used.
  if (request.dry_run()) response.clear_token();
  return response;
}

std::string_view join_refusal_name(JoinRefusal refusal) {
  switch (refusal) {
    case JoinRefusal::kForged:
      return "forged";
    case JoinRefusal::kExpired:
      return "expired";
    case JoinRefusal::kUsedUp:
      return "used_up";
    case JoinRefusal::kForeignCluster:
      return "foreign_cluster";
    case JoinRefusal::kForeignNode:
      return "foreign_node";
    case JoinRefusal::kUnknownNode:
      return "unknown_node";
    case JoinRefusal::kBadRequest:
      return "bad_request";
  }
  return "";
}

std::optional<JoinRefusal> check_join(const Snapshot& snapshot, std::string_view token,
                                      std::string_view node, WallTime now) {
  const TokenText text = parse(token);
  const auto* found = snapshot.find<pb::JoinToken>(text.name);
  // Hash and compare also when there is no such token, so that time tells nothing.
  static const std::string kNoHash(64, '0');
  const std::string& expected = found == nullptr ? kNoHash : found->spec().secret_hash();
  if (!equal_secrets(sha256_hex(text.secret), expected) || found == nullptr)
    return JoinRefusal::kForged;
  const pb::JoinTokenSpec& spec = found->spec();
  if (!is_before(timestamp(now), spec.expire_time())) return JoinRefusal::kExpired;
  if (found->status().uses() >= std::max(1, spec.max_uses())) return JoinRefusal::kUsedUp;
  if (!spec.node().empty() && spec.node() != node) return JoinRefusal::kForeignNode;
  const auto* joining = snapshot.find<pb::Node>(node);
  if (joining == nullptr) return JoinRefusal::kUnknownNode;
  if (joining->spec().cluster() != spec.cluster()) return JoinRefusal::kForeignCluster;
  return {};
}

struct JoinDesk::Book : std::enable_shared_from_this<Book> {
  Book(Store& in, std::string ca) : store(in), ca_certificate(std::move(ca)) {}

  void record(JoinRefusal refusal, const pb::JoinRequest& request, const std::string& peer);
  Error refuse(JoinRefusal refusal, const pb::JoinRequest& request, const std::string& peer);

  Store& store;
  const std::string ca_certificate;
  std::array<std::atomic<uint64_t>, kJoinRefusals> refused{};
  std::atomic<uint64_t> joined{0};
  std::atomic<int> writes{0};  // of refused tries, under way

 private:
  void count_on_token(const std::string& token_name);
};

JoinDesk::JoinDesk(Store& store, Clock& clock, SignNode sign, std::string ca_certificate)
    : store_(store),
      clock_(clock),
      sign_(std::move(sign)),
      book_(std::make_shared<Book>(store, std::move(ca_certificate))) {}

uint64_t JoinDesk::refused(JoinRefusal refusal) const {
  return book_->refused[static_cast<size_t>(refusal)].load();
}
uint64_t JoinDesk::joined() const { return book_->joined.load(); }

// Counts on the token, if there is one by that name.
void JoinDesk::Book::count_on_token(const std::string& token_name) {
  if (store.snapshot()->find<pb::JoinToken>(token_name) == nullptr) return;
  if (writes.fetch_add(1) >= kMaxRefusedWrites) {
    writes.fetch_sub(1);
    return;
  }
  store.write_async(
      "system/join",
      [token_name](Transaction& transaction) -> Status {
        const auto* found = transaction.snapshot().find<pb::JoinToken>(token_name);
        if (found == nullptr) return {};
        pb::JoinToken token = *found;
        token.mutable_status()->set_refused(token.status().refused() + 1);
        transaction.put(std::move(token));
        return {};
      },
      [book = shared_from_this()](const Result<Committed>&) { book->writes.fetch_sub(1); });
}

void JoinDesk::Book::record(JoinRefusal refusal, const pb::JoinRequest& request,
                            const std::string& peer) {
  const std::string name(parse(request.token()).name.substr(0, 64));
  refused[static_cast<size_t>(refusal)].fetch_add(1);
  // Both come from whoever called: shortened and without control characters.
  const std::string node = request.node().substr(0, 253);
  spdlog::warn("join refused: {} token={:?} node={:?} peer={}", join_refusal_name(refusal), name,
               node, peer);
  count_on_token(name);
}

Error JoinDesk::Book::refuse(JoinRefusal refusal, const pb::JoinRequest& request,
                             const std::string& peer) {
  record(refusal, request, peer);
  return {Code::kPermissionDenied,
          fmt::format("join token refused: {}; ask an administrator for a new one",
                      join_refusal_name(refusal))};
}

void JoinDesk::join(const pb::JoinRequest& request, const std::string& peer,
                    std::function<void(Result<pb::JoinResponse>)> done) {
  if (const auto refusal =
          check_join(*store_.snapshot(), request.token(), request.node(), clock_.wall()))
    return done(book_->refuse(*refusal, request, peer));
  // Signed first: a request that cannot be signed must not consume the token.
  auto certificate = sign_(request.certificate_request(), request.node());
  if (!certificate) {
    book_->record(JoinRefusal::kBadRequest, request, peer);
    return done(std::move(certificate.error()));
  }
  auto late = std::make_shared<std::optional<JoinRefusal>>();
  store_.write_async(
      "node/" + request.node(),
      [request, late, serial = certificate->serial](Transaction& transaction) -> Status {
        *late =
            check_join(transaction.snapshot(), request.token(), request.node(), transaction.time());
        if (*late) return Error(Code::kPermissionDenied, "join token refused");
        pb::JoinToken token =
            *transaction.snapshot().find<pb::JoinToken>(parse(request.token()).name);
        token.mutable_status()->set_uses(token.status().uses() + 1);
        pb::Node node = *transaction.snapshot().find<pb::Node>(request.node());
        auto& agent = *node.mutable_status()->mutable_agent();
        *agent.mutable_join_time() = timestamp(transaction.time());
        agent.set_certificate_serial(serial);
        transaction.put(std::move(token));
        transaction.put(std::move(node));
        return {};
      },
      [book = book_, request, peer, late, done,
       pem = certificate->pem](const Result<Committed>& written) {
        if (*late) return done(book->refuse(**late, request, peer));
        if (!written) return done(written.error());
        book->joined.fetch_add(1);
        spdlog::info("join: node {} joined from {}", request.node(), peer);
        pb::JoinResponse response;
        response.set_certificate(pem);
        response.set_ca_certificate(book->ca_certificate);
        done(std::move(response));
      });
}

}  // namespace frameworks
