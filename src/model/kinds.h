// The kinds' own files: each gives one function.
#pragma once

#include "model/kind.h"

namespace frameworks {

Kind tenant_kind();
Kind cluster_kind();
Kind grant_kind();
Kind invite_kind();
Kind machine_pool_kind();
Kind node_kind();
Kind service_kind();
Kind instance_kind();
Kind zone_kind();
Kind certificate_kind();
Kind firewall_rule_kind();
Kind secret_kind();
Kind join_token_kind();
Kind account_kind();
Kind access_token_kind();
Kind identity_provider_kind();
Kind rollout_kind();
Kind operation_kind();
Kind incident_kind();
Kind lease_kind();
Kind applied_request_kind();

}  // namespace frameworks
