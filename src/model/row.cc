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

Row::Row(const Content& content)
    : exact_(content.exact),
      has_hashes_(content.index_hashes && content.index_hashes->size() <= UINT16_MAX),
      hash_count_(has_hashes_ ? static_cast<uint16_t>(content.index_hashes->size()) : 0),
      key_size_(static_cast<uint32_t>(content.key->key().size())),
      size_(static_cast<uint32_t>(content.bytes.size())),
      kind_(content.kind),
      row_key_(content.key) {
  if (hash_count_ > 0)
    std::memcpy(static_cast<void*>(this + 1), content.index_hashes->data(),
                hash_count_ * sizeof(uint64_t));
  char* behind = const_cast<char*>(behind_hashes());
  std::memcpy(behind, row_key_->key().data(), key_size_);
  std::memcpy(behind + key_size_, content.bytes.data(), size_);
}

Row* Row::make(const Content& content) {
  const size_t hashes = content.index_hashes ? content.index_hashes->size() : 0;
  void* memory = ::operator new(sizeof(Row) + hashes * sizeof(uint64_t) +
                                content.key->key().size() + content.bytes.size());
  return new (memory) Row(content);
}

RowRef Row::of(const Content& content) { return RowRef(make(content)); }

RowRef Row::of(const Content& content, Resource resource) {
  Row* row = make(content);
  row->parsed_.store(new Resource(std::move(resource)), std::memory_order_release);
  g_parsed.fetch_add(1, std::memory_order_relaxed);
  return RowRef(row);
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
  return parse_anew();
}

Resource Row::parse_anew() const {
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
