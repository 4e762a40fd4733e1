// Who may publish on this node: the tenancy section, answered from memory.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/locked.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

struct PublishAnswer {
  bool allowed = false;
  std::string reason;  // for logs and the answer's body
};

// The form that the media server posts (application/x-www-form-urlencoded): "name" is
// TENANT+STREAM; "tenant" may be given besides and must then agree. Anything ambiguous is refused:
// publishers can append arguments of their own to what the media server sends.
struct PublishRequest {
  std::string tenant;
  std::string stream;
};
// kInvalidArgument says what is wrong with the form.
Result<PublishRequest> parse_publish(std::string_view form);

// Threadsafe.
class Tenancy {
 public:
  // A stream of which nothing was heard for so long has ended: updates come each 10 s.
  static constexpr Duration kSilence = std::chrono::seconds(35);

  explicit Tenancy(Clock& clock = system_clock()) : clock_(clock) {}

  void set(const pb::TenancySection& section);

  // Whether a stream may begin. A grant that has expired is refused by this node's clock, also
  // while the server is away; and one stream more than the tenant's limit on this cluster, counted
  // on this node alone: with several nodes a tenant may have as many on each.
  [[nodiscard]] PublishAnswer may_publish(std::string_view form);
  // Whether a stream that the media server tells of as running may go on: not of a tenant that was
  // suspended, or whose grant ended. Without a plan everything goes on.
  [[nodiscard]] PublishAnswer may_go_on(std::string_view form);
  // A stream has ended.
  void ended(std::string_view form);

  [[nodiscard]] int tenants() const;

 private:
  using Streams = std::map<std::string, MonoTime, std::less<>>;  // heard of last
  using SectionPtr = std::shared_ptr<const pb::TenancySection>;

  [[nodiscard]] PublishAnswer judge(const PublishRequest& request, const SectionPtr& section) const;
  // Notes a stream as running; false: it would be one too many.
  bool count(const PublishRequest& request, const SectionPtr& section);

  Clock& clock_;
  Locked<SectionPtr> section_;
  Locked<std::map<std::string, Streams, std::less<>>> streams_;  // of tenants that have a limit
};

}  // namespace frameworks
