#include "agent/join.h"

#include <fmt/format.h>

#include "agent/link.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

namespace frameworks {
namespace {

constexpr std::chrono::milliseconds kTimeout{10'000};

}  // namespace

Status join(const JoinOrder& order, Identity& identity) {
  ASSIGN_OR_RETURN(const std::string token, read_file(order.token_file));
  ASSIGN_OR_RETURN(const std::string ca, read_file(order.ca_file));
  pb::JoinRequest request;
  request.set_token(std::string(trim(token)));
  request.set_node(order.node);
  ASSIGN_OR_RETURN(*request.mutable_certificate_request(),
                   identity.certificate_request(order.node));
  const auto response = join_fleet({.server = order.server, .ca_pem = ca}, request, kTimeout);
  if (!response)
    return response.error().with_context(fmt::format("join {} at {}", order.node, order.server));
  RETURN_IF_ERROR(identity.store(response->certificate(), response->ca_certificate()));
  spdlog::info("joined as {}", order.node);
  // Only now: with a certificate on disk the token is of no further use.
  std::error_code failed;
  std::filesystem::remove(order.token_file, failed);
  if (failed)
    spdlog::warn("join: token file {} stays: {}", order.token_file.string(), failed.message());
  return {};
}

}  // namespace frameworks
