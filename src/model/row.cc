#include "model/row.h"

#include <cstring>
#include <new>
#include <string>

#include "base/keyed_hash.h"

namespace frameworks {
namespace {

constexpr char kSeparator = '\x1f';

std::atomic<int64_t> g_parsed = 0;

}  // namespace

int64_t Row::parsed_count() { return g_parsed.load(std::memory_order_relaxed); }

RowKeyRef RowKey::of(std::string_view tenant, std::string_view name) {
  const size_t size = tenant.size() + 1 + name.size();
  void* memory = ::operator new(sizeof(RowKey) + size);
  RowKey* made = new (memory) RowKey(static_cast<uint32_t>(size));
  char* key = reinterpret_cast<char*>(made + 1);
  std::memcpy(key, tenant.data(), tenant.size());
  key[tenant.size()] = kSeparator;
  std::memcpy(key + tenant.size() + 1, name.data(), name.size());
  made->hash_ = keyed_hash(made->key());
  return RowKeyRef(made);
}

void RowKey::destroy(const RowKey* key) {
  key->~RowKey();
  ::operator delete(const_cast<RowKey*>(key));
}

Row::Row(const Kind& kind, RowKeyRef key, std::string_view bytes, bool exact)
    : exact_(exact),
      key_size_(static_cast<uint32_t>(key->key().size())),
      size_(static_cast<uint32_t>(bytes.size())),
      kind_(kind),
      row_key_(std::move(key)) {
  char* behind = reinterpret_cast<char*>(this + 1);
  std::memcpy(behind, row_key_->key().data(), key_size_);
  std::memcpy(behind + key_size_, bytes.data(), size_);
}

Row* Row::make(const Kind& kind, RowKeyRef key, std::string_view bytes, bool exact) {
  void* memory = ::operator new(sizeof(Row) + key->key().size() + bytes.size());
  return new (memory) Row(kind, std::move(key), bytes, exact);
}

RowRef Row::of(Resource resource, std::string_view bytes, RowKeyRef key) {
  const pb::Metadata& metadata = resource.metadata();
  if (!key) key = RowKey::of(metadata.tenant(), metadata.name());
  Row* row = make(resource.kind(), std::move(key), bytes, true);
  row->parsed_.store(new Resource(std::move(resource)), std::memory_order_release);
  g_parsed.fetch_add(1, std::memory_order_relaxed);
  return RowRef(row);
}

RowRef Row::packed(const Kind& kind, std::string_view bytes, RowKeyRef key) {
  return RowRef(make(kind, std::move(key), bytes, false));
}

Row::~Row() {
  const Resource* parsed = parsed_.load(std::memory_order_relaxed);
  if (parsed == nullptr) return;
  delete parsed;
  g_parsed.fetch_sub(1, std::memory_order_relaxed);
}

void Row::destroy(const Row* row) {
  row->~Row();
  ::operator delete(const_cast<Row*>(row));
}

Resource Row::peek() const {
  if (const Resource* parsed = parsed_.load(std::memory_order_acquire); parsed != nullptr)
    return *parsed;
  const std::string_view packed = bytes();
  std::unique_ptr<Message> message = kind_.make();
  CHECK(message->ParseFromArray(packed.data(), static_cast<int>(packed.size())));
  return Resource(kind_, std::shared_ptr<const Message>(std::move(message)));
}

const Resource& Row::parse() const {
  auto mine = std::make_unique<const Resource>(peek());
  const Resource* found = nullptr;
  if (!parsed_.compare_exchange_strong(found, mine.get(), std::memory_order_acq_rel)) return *found;
  g_parsed.fetch_add(1, std::memory_order_relaxed);
  return *mine.release();
}

std::unique_ptr<const Resource> Row::release() const {
  const Resource* parsed = parsed_.load(std::memory_order_acquire);
  if (parsed == nullptr) return nullptr;
  g_parsed.fetch_sub(1, std::memory_order_relaxed);
  return std::unique_ptr<const Resource>(parsed_.exchange(nullptr, std::memory_order_acq_rel));
}

}  // namespace frameworks
