#include "model/snapshot.h"

#include <algorithm>

namespace frameworks {
namespace {

constexpr char kSeparator = '\x1f';

std::string row_key(std::string_view tenant, std::string_view name) {
  std::string key;
  key.reserve(tenant.size() + name.size() + 1);
  key += tenant;
  key += kSeparator;
  key += name;
  return key;
}

std::string index_key(std::string_view index, std::string_view value) {
  std::string key(index);
  key += kSeparator;
  key += value;
  key += kSeparator;
  return key;
}

std::vector<std::pair<std::string, std::string>> index_values(const Resource& resource) {
  std::vector<std::pair<std::string, std::string>> out;
  if (resource.kind().index) out = resource.kind().index(resource.message());
  if (resource.kind().tenant_owned) out.emplace_back("tenant", resource.metadata().tenant());
  return out;
}

}  // namespace

Snapshot::Snapshot() : tables_(all_kinds().size()) {}

size_t Snapshot::table_of(const Kind& kind) {
  return static_cast<size_t>(&kind - all_kinds().data());
}

const Resource* Snapshot::find(const Kind& kind, std::string_view tenant,
                               std::string_view name) const {
  const RowRef* ref = tables_[table_of(kind)].rows.find(row_key(tenant, name));
  return ref == nullptr ? nullptr : &ref->row->resource;
}

const Resource* Snapshot::find(const ResourceKey& key) const {
  const Kind* kind = find_kind(key.kind);
  return kind == nullptr ? nullptr : find(*kind, key.tenant, key.name);
}

std::vector<Resource> Snapshot::list(const Kind& kind) const {
  std::vector<const Row*> rows;
  rows.reserve(count(kind));
  tables_[table_of(kind)].rows.for_each([&](const RowRef& ref) { rows.push_back(ref.row.get()); });
  std::sort(rows.begin(), rows.end(), [](const Row* a, const Row* b) { return a->key < b->key; });
  std::vector<Resource> out;
  out.reserve(rows.size());
  for (const Row* row : rows) out.push_back(row->resource);
  return out;
}

size_t Snapshot::count(const Kind& kind) const { return tables_[table_of(kind)].rows.size(); }

std::vector<Resource> Snapshot::find_by(const Kind& kind, std::string_view index,
                                        std::string_view value) const {
  std::vector<Resource> out;
  const std::string prefix = index_key(index, value);
  tables_[table_of(kind)].index.scan(prefix, prefix, [&](const IndexRef& ref) {
    if (!ref.key.starts_with(prefix)) return false;
    out.push_back(ref.row->resource);
    return true;
  });
  return out;
}

void Snapshot::put(Resource resource) {
  remove(resource.key());
  KindTable& table = tables_[table_of(resource.kind())];
  const pb::Metadata& metadata = resource.metadata();
  auto row = std::make_shared<Row>();
  row->key = row_key(metadata.tenant(), metadata.name());
  row->resource = std::move(resource);
  for (const auto& [index, value] : index_values(row->resource)) {
    const std::string prefix = index_key(index, value);
    table.index.put(prefix, IndexRef{prefix + row->key, row});
  }
  const std::string key = row->key;
  table.rows.put(key, RowRef{std::move(row)});
}

void Snapshot::remove(const ResourceKey& key) {
  const Resource* found = find(key);
  if (found == nullptr) return;
  const Resource old = *found;
  KindTable& table = tables_[table_of(old.kind())];
  const std::string row = row_key(key.tenant, key.name);
  for (const auto& [index, value] : index_values(old)) {
    const std::string prefix = index_key(index, value);
    table.index.erase(prefix, prefix + row);
  }
  table.rows.erase(row, row);
}

}  // namespace frameworks
