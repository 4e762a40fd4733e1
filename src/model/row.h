// One version of one resource as snapshots hold it: its key and its message's bytes, and the message
// itself, parsed when asked for.
//
// A parsed message takes five times the room of its bytes: what was loaded from disk and is not
// looked at stays bytes, and what was not looked at lately becomes bytes again
// (Snapshot::release_messages()). Key and bytes lie behind the row's own fields: to look at a row
// is one wait for memory. Threadsafe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "model/kind.h"

namespace frameworks {

// An intrusive, atomically counted reference: half of a shared_ptr's size. T has `refs`, which
// starts at 1, and a static destroy(T*).
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* first) : target_(first) {}  // takes over the first reference
  Ref(const Ref& other) : target_(other.target_) {
    if (target_ != nullptr) target_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Ref(Ref&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~Ref() {
    if (target_ != nullptr && target_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
      T::destroy(target_);
  }

  explicit operator bool() const { return target_ != nullptr; }
  T& operator*() const { return *target_; }
  T* operator->() const { return target_; }
  [[nodiscard]] T* get() const { return target_; }
  // Nobody else refers to it, and what others did with it has happened.
  [[nodiscard]] bool unique() const { return target_->refs.load(std::memory_order_acquire) == 1; }

 private:
  T* target_ = nullptr;
};

// What all versions of a resource share: tenant, \x1f, name. Rows sort by it.
class RowKey {
 public:
  static Ref<const RowKey> of(std::string_view tenant, std::string_view name);
  static void destroy(const RowKey* key);

  [[nodiscard]] std::string_view key() const {
    return {reinterpret_cast<const char*>(this + 1), size_};
  }
  [[nodiscard]] uint64_t hash() const { return hash_; }  // keyed_hash(key())

  mutable std::atomic<uint32_t> refs = 1;

 private:
  explicit RowKey(uint32_t size) : size_(size) {}

  uint32_t size_;
  uint64_t hash_ = 0;
  // The key follows.
};
using RowKeyRef = Ref<const RowKey>;

class Row;
using RowRef = Ref<const Row>;

class Row {
 public:
  // `bytes`: the deterministic_bytes() of the resource's message. `key`: of another version of the
  // resource; empty: make one.
  static RowRef of(Resource resource, std::string_view bytes, RowKeyRef key = {});
  // `bytes` are a serialized message of the kind, known to parse.
  static RowRef packed(const Kind& kind, std::string_view bytes, RowKeyRef key);
  static void destroy(const Row* row);

  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  [[nodiscard]] const Kind& kind() const { return kind_; }
  [[nodiscard]] const RowKeyRef& row_key() const { return row_key_; }
  [[nodiscard]] std::string_view key() const {
    return {reinterpret_cast<const char*>(this + 1), key_size_};
  }
  // Of its message.
  [[nodiscard]] std::string_view bytes() const {
    return {reinterpret_cast<const char*>(this + 1) + key_size_, size_};
  }
  // They are its deterministic_bytes(): what comes from disk may be another program's.
  [[nodiscard]] bool has_exact_bytes() const { return exact_; }
  // Parses and keeps the message. The reference is good until release() gave it away.
  [[nodiscard]] const Resource& resource() const {
    const Resource* parsed = parsed_.load(std::memory_order_acquire);
    return parsed != nullptr ? *parsed : parse();
  }
  // The same without keeping it.
  [[nodiscard]] Resource peek() const;
  // Keeps bytes only, and gives the message, which others may still be looking at; null when it
  // was not parsed. One thread at a time.
  [[nodiscard]] std::unique_ptr<const Resource> release() const;

  // Messages that rows of this process hold parsed.
  static int64_t parsed_count();

  mutable std::atomic<uint32_t> refs = 1;

 private:
  static Row* make(const Kind& kind, RowKeyRef key, std::string_view bytes, bool exact);
  Row(const Kind& kind, RowKeyRef key, std::string_view bytes, bool exact);
  ~Row();
  const Resource& parse() const;

  const bool exact_;
  const uint32_t key_size_;
  const uint32_t size_;
  const Kind& kind_;
  const RowKeyRef row_key_;
  mutable std::atomic<const Resource*> parsed_ = nullptr;
  // The key and the bytes follow.
};

}  // namespace frameworks
