// Who may publish on this node: the tenancy section, answered from memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

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
  void set(const pb::TenancySection& section);
  [[nodiscard]] PublishAnswer may_publish(std::string_view form) const;
  [[nodiscard]] int tenants() const;

 private:
  Locked<std::shared_ptr<const pb::TenancySection>> section_;
};

}  // namespace frameworks
