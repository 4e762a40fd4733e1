// Join tokens: made for operators and operations, traded by nodes for a certificate.
//
// A token is "<name>.<secret>"; the store holds the secret's hash only. A trade happens wholly or
// not at all: the use is counted in the transaction that records the join, and a refused try costs
// the token nothing. Refused tries are logged without the secret and counted.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "store/store.h"

namespace frameworks {

// Makes a token. kNotFound when the cluster or the node does not exist.
Result<pb::CreateJoinTokenResponse> create_join_token(Store& store, const Actor& actor,
                                                      const pb::CreateJoinTokenRequest& request);

enum class JoinRefusal {
  kForged,  // no such token, or not its secret
  kExpired,
  kUsedUp,
  kForeignCluster,  // the node belongs to another cluster than the token
  kForeignNode,     // the token is bound to another node
  kUnknownNode,
  kBadRequest,  // the certificate request is no good
};
inline constexpr int kJoinRefusals = 7;
std::string_view join_refusal_name(JoinRefusal refusal);

// Whether `token` lets `node` join at `now`; empty: yes.
std::optional<JoinRefusal> check_join(const Snapshot& snapshot, std::string_view token,
                                      std::string_view node, WallTime now);

// What the signer hands back.
struct NodeCertificate {
  std::string pem;
  std::string serial;
};
using SignNode =
    std::function<Result<NodeCertificate>(std::string_view request_pem, std::string_view node)>;

// Threadsafe. Joins that wait for the disk are told of also after it is gone.
class JoinDesk {
 public:
  // `store` and `clock` must outlive it.
  JoinDesk(Store& store, Clock& clock, SignNode sign, std::string ca_certificate);

  // `done` is called once, on this thread or the store's writer; it must not block.
  void join(const pb::JoinRequest& request, const std::string& peer,
            std::function<void(Result<pb::JoinResponse>)> done);

  // Since start, by reason.
  [[nodiscard]] uint64_t refused(JoinRefusal refusal) const;
  [[nodiscard]] uint64_t joined() const;

 private:
  // What answers may need of it when it is gone.
  struct Book;

  Store& store_;
  Clock& clock_;
  SignNode sign_;
  std::shared_ptr<Book> book_;
};

}  // namespace frameworks
