#include "server/pages.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr char kSeparator = '\x1f';
constexpr size_t kListBytes = 8;

std::string list_of(const pb::ListRequest& request, const Kind& kind) {
  std::string text = kind.name;
  for (const std::string* part : {&request.tenant(), &request.filter()}) text += kSeparator + *part;
  return sha256(text).substr(0, kListBytes);
}

}  // namespace

std::string place_of(const Resource& resource) {
  return resource.metadata().tenant() + kSeparator + resource.metadata().name();
}

std::string page_token(const pb::ListRequest& request, const Kind& kind, std::string_view place) {
  return base64_encode(list_of(request, kind).append(place));
}

Result<std::string> page_begin(const pb::ListRequest& request, const Kind& kind) {
  if (request.page_token().empty()) return std::string();
  const auto token = base64_decode(request.page_token());
  if (!token || token->size() <= kListBytes ||
      token->substr(0, kListBytes) != list_of(request, kind))
    return Error::invalid({{{}, 0, "", "pageToken", "is not of this list: begin without one"}});
  return token->substr(kListBytes);
}

void scan_after(const Visibility& visibility, const Kind& kind, const std::string& tenant,
                std::string_view after, const Snapshot::Visit& visit) {
  std::optional<Snapshot::After> from;
  if (const size_t end = after.find(kSeparator); end != std::string_view::npos)
    from = {after.substr(0, end), after.substr(end + 1)};
  if (!tenant.empty()) {
    if (!kind.tenant_owned) return;
    return visibility.snapshot().scan_by(
        kind, "tenant", tenant,
        [&](const Resource& resource) { return !visibility.sees(resource) || visit(resource); },
        from);
  }
  if (visibility.everything()) return visibility.snapshot().scan(kind, visit, from);
  const std::vector<Resource> all = visibility.list(kind);
  auto at = all.begin();
  if (from)
    at = std::partition_point(all.begin(), all.end(), [&](const Resource& resource) {
      const std::string_view tenant_of = resource.metadata().tenant(), name = resource.name();
      return std::tie(tenant_of, name) <= std::tie(from->tenant, from->name);
    });
  for (; at != all.end(); ++at)
    if (!visit(*at)) return;
}

}  // namespace frameworks
