#include "model/snapshot.h"

#include <algorithm>

#include "base/keyed_hash.h"
#include "base/memory.h"
#include "model/kind_table.h"
#include "model/pack.h"

namespace frameworks {
namespace {

constexpr char kSeparator = '\x1f';
// Of a row's bytes at most.
constexpr size_t kFetched = 512;

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

RowKeyRef key_of(const Row* old, const pb::Metadata& metadata) {
  return old == nullptr ? RowKey::of(metadata.tenant(), metadata.name()) : old->row_key();
}

}  // namespace

// The hashes of a row: as it has them, or made; none of none.
struct Snapshot::HashesOf {
  explicit HashesOf(const Row* row) {
    if (row == nullptr) return;
    if (const auto has = row->index_hashes()) {
      all = *has;
    } else {
      made = index_hashes(row->kind(), row->peek().message());
      all = made;
    }
  }
  HashesOf(const HashesOf&) = delete;
  HashesOf& operator=(const HashesOf&) = delete;

  std::span<const uint64_t> all;
  std::vector<uint64_t> made;
};

Snapshot::Snapshot() : tables_(all_kinds().size()) {}
Snapshot::Snapshot(const Snapshot&) = default;
Snapshot::Snapshot(Snapshot&&) noexcept = default;
Snapshot& Snapshot::operator=(const Snapshot&) = default;
Snapshot& Snapshot::operator=(Snapshot&&) noexcept = default;
Snapshot::~Snapshot() { loans_.held.reset(); }

class Snapshot::Loans {
 public:
  RowTree::Loans rows;
};

void Snapshot::borrow() { loans_.held = std::make_shared<Loans>(); }

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

const Row* Snapshot::find_row(const Kind& kind, std::string_view tenant,
                              std::string_view name) const {
  const JoinedKey key(tenant, name);
  return tables_[table_of(kind)].rows.find(keyed_hash(key.view()), key.view());
}

const Row* Snapshot::row(const Kind& kind, std::string_view tenant, std::string_view name) const {
  const Row* found = find_row(kind, tenant, name);
  if (found == nullptr) return nullptr;
  // What the next version is compared with and takes over.
  fetch_ahead(found->bytes().data(), std::min<size_t>(found->bytes().size(), kFetched));
  fetch_ahead(found->row_key().get(), sizeof(RowKey));
  return found;
}

const Resource* Snapshot::find(const Kind& kind, std::string_view tenant,
                               std::string_view name) const {
  const Row* found = find_row(kind, tenant, name);
  return found == nullptr ? nullptr : &found->resource();
}

const Resource* Snapshot::find(const ResourceKey& key) const {
  const Kind* kind = find_kind(key.kind);
  return kind == nullptr ? nullptr : find(*kind, key.tenant, key.name);
}

Resource Snapshot::peek(const Kind& kind, std::string_view tenant, std::string_view name) const {
  const Row* found = find_row(kind, tenant, name);
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
  const Kind& kind = resource.kind();
  const pb::Metadata& metadata = resource.metadata();
  const Row* old = row(kind, metadata.tenant(), metadata.name());
  const std::string bytes = deterministic_bytes(resource.message());
  const auto hashes = index_hashes(kind, resource.message());
  const Row::Content content{kind, key_of(old, metadata), bytes, true, hashes};
  put_row(tables_[table_of(kind)], old, Row::of(content, std::move(resource)));
}

RowRef Snapshot::put(const Resource& resource, std::string_view bytes, const Row* old) {
  const Kind& kind = resource.kind();
  const auto hashes = index_hashes(kind, resource.message());
  const Row::Content content{kind, key_of(old, resource.metadata()), bytes, true, hashes};
  RowRef row = old != nullptr && old->is_parsed() ? Row::of(content, resource) : Row::of(content);
  put_row(tables_[table_of(kind)], old, row);
  return row;
}

void Snapshot::put(RowRef row) {
  KindTable& table = tables_[table_of(row->kind())];
  const Row* old = table.rows.find(row->row_key()->hash(), row->key());
  if (old != nullptr && old->row_key().get() != row->row_key().get()) {
    // Deleted and made again since: the trees know it by another key.
    remove_row(table, *old);
    old = nullptr;
  }
  put_row(table, old, std::move(row));
}

void Snapshot::put_packed(const Resource& resource, std::string_view bytes) {
  const Kind& kind = resource.kind();
  const pb::Metadata& metadata = resource.metadata();
  const Row* old = row(kind, metadata.tenant(), metadata.name());
  const auto hashes = index_hashes(kind, resource.message());
  put_row(tables_[table_of(kind)], old,
          Row::of({kind, key_of(old, metadata), bytes, false, hashes}));
}

// A new version of what is there changes one tree, unless it is found under other values now.
void Snapshot::put_row(KindTable& table, const Row* old, RowRef row) {
  const RowKeyRef& key = row->row_key();
  if (old == nullptr) table.order.put(KindTable::kOrder, key);
  const HashesOf was(old);
  const HashesOf now(row.get());
  for (const uint64_t each : was.all)
    if (!std::binary_search(now.all.begin(), now.all.end(), each))
      table.index.erase(each, key->key());
  for (const uint64_t each : now.all)
    if (!std::binary_search(was.all.begin(), was.all.end(), each)) table.index.put(each, key);
  table.rows.put(key->hash(), std::move(row), loans_.held ? &loans_.held->rows : nullptr);
}

void Snapshot::remove(const ResourceKey& key) {
  const Kind* kind = find_kind(key.kind);
  if (kind == nullptr) return;
  KindTable& table = tables_[table_of(*kind)];
  const JoinedKey joined(key.tenant, key.name);
  const Row* row = table.rows.find(keyed_hash(joined.view()), joined.view());
  if (row == nullptr) return;
  remove_row(table, *row);
}

void Snapshot::remove_row(KindTable& table, const Row& row) {
  const RowKeyRef key = row.row_key();  // the row goes with the last tree
  const HashesOf hashes(&row);
  for (const uint64_t each : hashes.all) table.index.erase(each, key->key());
  table.order.erase(KindTable::kOrder, key->key());
  table.rows.erase(key->hash(), key->key(), loans_.held ? &loans_.held->rows : nullptr);
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
