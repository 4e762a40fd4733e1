#include "cli/resources.h"

#include <fmt/format.h>

#include "base/text.h"
#include "model/pack.h"

namespace frameworks::cli {
namespace {

// What is longer is for `describe`.
constexpr size_t kWidestCell = 72;

}  // namespace

std::string kind_words() {
  std::string out;
  for (const Kind& kind : all_kinds()) out += (out.empty() ? "" : ", ") + kind.plural;
  return out;
}

Result<const Kind*> kind_from_word(const std::string& word) {
  if (const Kind* kind = find_kind(word)) return kind;
  return Error(Code::kInvalidArgument,
               fmt::format("\"{}\" is no kind of resource: use one of {}", word, kind_words()));
}

Result<Listing> list_resources(Client& client, const Kind& kind, const std::string& tenant) {
  Listing out;
  pb::ListRequest request;
  request.set_kind(kind.name);
  request.set_tenant(tenant);
  request.set_page_size(1000);
  do {
    ASSIGN_OR_RETURN(const pb::ListResponse page,
                     client.call(client.fleet(), &pb::Fleet::StubInterface::List, request));
    for (const auto& any : page.resources()) {
      ASSIGN_OR_RETURN(Resource resource, unpack(any));
      out.resources.push_back(std::move(resource));
    }
    out.revision = page.revision();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return out;
}

Result<Resource> get_resource(Client& client, const Kind& kind, const std::string& tenant,
                              const std::string& name) {
  if (!kind.tenant_owned || !tenant.empty()) {
    pb::GetRequest request;
    request.set_kind(kind.name);
    request.set_tenant(tenant);
    request.set_name(name);
    ASSIGN_OR_RETURN(const pb::GetResponse response,
                     client.call(client.fleet(), &pb::Fleet::StubInterface::Get, request));
    return unpack(response.resource());
  }
  ASSIGN_OR_RETURN(const Listing all, list_resources(client, kind, {}));
  std::vector<const Resource*> found;
  for (const Resource& each : all.resources)
    if (each.name() == name) found.push_back(&each);
  if (found.size() == 1) return *found.front();
  if (found.empty())
    return Error(Code::kNotFound, fmt::format("{} \"{}\" does not exist: see `frameworks get {}`",
                                              kind.name, name, kind.plural));
  std::string tenants;
  for (const Resource* each : found)
    tenants += (tenants.empty() ? "" : ", ") + each->metadata().tenant();
  return Error(Code::kInvalidArgument,
               fmt::format("{} \"{}\" exists for tenants {}: name one with --tenant", kind.name,
                           name, tenants));
}

std::string age_text(const Resource& resource, WallTime now) {
  if (!resource.metadata().has_create_time()) return {};
  const WallTime made{std::chrono::seconds(resource.metadata().create_time().seconds())};
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - made);
  if (age.count() < 60) return fmt::format("{} s", std::max<int64_t>(age.count(), 0));
  return human_duration(age);
}

Table make_table(const Kind& kind, const std::vector<Resource>& resources, WallTime now) {
  std::vector<std::string> titles;
  for (const Column& column : kind.columns) titles.push_back(column.title);
  titles.emplace_back("AGE");
  Table out(titles);
  for (const Resource& resource : resources) {
    std::vector<std::string> cells;
    for (const Column& column : kind.columns)
      cells.push_back(clip(column.text(resource.message()), kWidestCell));
    cells.push_back(age_text(resource, now));
    out.add(std::move(cells));
  }
  return out;
}

}  // namespace frameworks::cli
