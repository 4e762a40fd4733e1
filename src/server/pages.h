// Pages of a list: where one begins, and the token that says so. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "runtime/access/visibility.h"

namespace frameworks {

// Orders as pages do: by tenant, then name.
std::string place_of(const Resource& resource);

// A page's token says behind which place the next one begins, and of which list it is (kind,
// tenant, filter): of any other it is refused.
std::string page_token(const pb::ListRequest& request, const Kind& kind, std::string_view place);
// The place behind which the page begins; empty: the first. kInvalidArgument: a token that is not
// of this list.
Result<std::string> page_begin(const pb::ListRequest& request, const Kind& kind);

// Visits what is seen of a kind (of one tenant, if wanted) behind the place `after`, until `visit`
// returns false. Work grows with what is visited.
void scan_after(const Visibility& visibility, const Kind& kind, const std::string& tenant,
                std::string_view after, const Snapshot::Visit& visit);

}  // namespace frameworks
