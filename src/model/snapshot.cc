#include "model/snapshot.h"

#include <algorithm>

#include "base/keyed_hash.h"
#include "model/kind_table.h"
#include "model/pack.h"

namespace frameworks {
namespace {

constexpr char kSeparator = '\x1f';

// Parts joined by \x1f, on the stack where they are short.
class JoinedKey {
 public:
  JoinedKey(std::string_view a, std::string_view b) {
    const size_t size = a.size() + 1 + b.size();
    char* out = near_;
    if (size > sizeof near_) {
      far_.resize(size);
      out = far_.data();
    }
    std::copy(a.begin(), a.end(), out);
    out[a.size()] = kSeparator;
    std::copy(b.begin(), b.end(), out + a.size() + 1);
    view_ = {out, size};
  }
  JoinedKey(const JoinedKey&) = delete;
  JoinedKey& operator=(const JoinedKey&) = delete;
  [[nodiscard]] std::string_view view() const { return view_; }

 private:
  char near_[128];
  std::string far_;
  std::string_view view_;
};

// What sorts right after the key, before every other one.
std::string just_after(const std::optional<Snapshot::After>& after) {
  if (!after) return {};
  std::string key(JoinedKey(after->tenant, after->name).view());
  key += '\0';
  return key;
}

}  // namespace

Snapshot::Snapshot() : tables_(all_kinds().size()) {}
Snapshot::Snapshot(const Snapshot&) = default;
Snapshot::Snapshot(Snapshot&&) noexcept = default;
Snapshot& Snapshot::operator=(const Snapshot&) = default;
Snapshot& Snapshot::operator=(Snapshot&&) noexcept = default;
Snapshot::~Snapshot() = default;

int64_t Snapshot::parsed_count() { return Row::parsed_count(); }

size_t Snapshot::table_of(const Kind& kind) {
  return static_cast<size_t>(&kind - all_kinds().data());
}

uint64_t Snapshot::index_hash(std::string_view index, std::string_view value) {
  return keyed_hash(JoinedKey(index, value).view());
}

// Without repeats: a resource is found once under a value.
std::vector<uint64_t> Snapshot::index_hashes(const Kind& kind, const Message& message) {
  std::vector<uint64_t> out;
  if (kind.index)
    for (const auto& [index, value] : kind.index(message)) out.push_back(index_hash(index, value));
  if (kind.tenant_owned) out.push_back(index_hash("tenant", kind.metadata(message).tenant()));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

const Row* Snapshot::row(const Kind& kind, std::string_view tenant, std::string_view name) const {
  const JoinedKey key(tenant, name);
  return tables_[table_of(kind)].rows.find(keyed_hash(key.view()), key.view());
}

const Resource* Snapshot::find(const Kind& kind, std::string_view tenant,
                               std::string_view name) const {
  const Row* found = row(kind, tenant, name);
  return found == nullptr ? nullptr : &found->resource();
}

const Resource* Snapshot::find(const ResourceKey& key) const {
  const Kind* kind = find_kind(key.kind);
  return kind == nullptr ? nullptr : find(*kind, key.tenant, key.name);
}

Resource Snapshot::peek(const Kind& kind, std::string_view tenant, std::string_view name) const {
  const Row* found = row(kind, tenant, name);
  return found == nullptr ? Resource() : found->peek();
}

std::vector<Resource> Snapshot::list(const Kind& kind) const {
  std::vector<Resource> out;
  out.reserve(count(kind));
  tables_[table_of(kind)].scan({}, [&](const Row& row) {
    out.push_back(row.resource());
    return true;
  });
  return out;
}

size_t Snapshot::count(const Kind& kind) const { return tables_[table_of(kind)].rows.size(); }

std::vector<Resource> Snapshot::find_by(const Kind& kind, std::string_view index,
                                        std::string_view value) const {
  std::vector<Resource> out;
  tables_[table_of(kind)].scan_by(index_hash(index, value), {}, [&](const Row& row) {
    out.push_back(row.resource());
    return true;
  });
  return out;
}

void Snapshot::scan(const Kind& kind, const Visit& visit, std::optional<After> after) const {
  tables_[table_of(kind)].scan(just_after(after),
                               [&](const Row& row) { return visit(row.peek()); });
}

void Snapshot::scan_by(const Kind& kind, std::string_view index, std::string_view value,
                       const Visit& visit, std::optional<After> after) const {
  tables_[table_of(kind)].scan_by(index_hash(index, value), just_after(after),
                                  [&](const Row& row) { return visit(row.peek()); });
}

void Snapshot::put(Resource resource) {
  const pb::Metadata& metadata = resource.metadata();
  const Row* old = row(resource.kind(), metadata.tenant(), metadata.name());
  const std::string bytes = deterministic_bytes(resource.message());
  put(std::move(resource), bytes, old);
}

void Snapshot::put(Resource resource, std::string_view bytes, const Row* old) {
  put_row(resource, old, Row::of(resource, bytes, old == nullptr ? RowKeyRef() : old->row_key()));
}

void Snapshot::put_packed(const Resource& resource, std::string_view bytes) {
  const pb::Metadata& metadata = resource.metadata();
  const Row* old = row(resource.kind(), metadata.tenant(), metadata.name());
  RowKeyRef key =
      old == nullptr ? RowKey::of(metadata.tenant(), metadata.name()) : old->row_key();
  put_row(resource, old, Row::packed(resource.kind(), bytes, std::move(key)));
}

// A new version of what is there changes one tree, unless it is found under other values now.
void Snapshot::put_row(const Resource& resource, const Row* old, RowRef row) {
  const Kind& kind = resource.kind();
  KindTable& table = tables_[table_of(kind)];
  const RowKeyRef& key = row->row_key();
  std::vector<uint64_t> was;
  std::vector<uint64_t> now;
  if (old == nullptr) {
    table.order.put(KindTable::kOrder, key);
    now = index_hashes(kind, resource.message());
  } else if (kind.index) {
    const Resource before = old->peek();
    if (kind.index(before.message()) != kind.index(resource.message())) {
      was = index_hashes(kind, before.message());
      now = index_hashes(kind, resource.message());
    }
  }
  for (const uint64_t each : was)
    if (!std::binary_search(now.begin(), now.end(), each)) table.index.erase(each, key->key());
  for (const uint64_t each : now)
    if (!std::binary_search(was.begin(), was.end(), each)) table.index.put(each, key);
  table.rows.put(key->hash(), std::move(row));
}

void Snapshot::remove(const ResourceKey& key) {
  const Kind* kind = find_kind(key.kind);
  if (kind == nullptr) return;
  KindTable& table = tables_[table_of(*kind)];
  const JoinedKey joined(key.tenant, key.name);
  const uint64_t hash = keyed_hash(joined.view());
  const Row* row = table.rows.find(hash, joined.view());
  if (row == nullptr) return;
  const Resource old = row->peek();
  for (const uint64_t each : index_hashes(*kind, old.message()))
    table.index.erase(each, joined.view());
  table.order.erase(KindTable::kOrder, joined.view());
  table.rows.erase(hash, joined.view());
}

void Snapshot::Lease::retire(std::vector<std::unique_ptr<const Resource>> messages,
                             std::shared_ptr<Lease> next) {
  messages_ = std::move(messages);
  next_ = std::move(next);
}

std::vector<std::unique_ptr<const Resource>> Snapshot::release_messages() const {
  std::vector<std::unique_ptr<const Resource>> out;
  for (const KindTable& table : tables_)
    table.rows.each([&](const Row& row) {
      if (auto message = row.release()) out.push_back(std::move(message));
    });
  return out;
}

}  // namespace frameworks
