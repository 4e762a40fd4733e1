// One version of one resource as snapshots hold it: its key and its message's bytes, and the message
// itself, parsed when asked for.
//
// A parsed message takes five times the room of its bytes: what was loaded from disk and is not
// looked at stays bytes, and what was not looked at lately becomes bytes again
// (Snapshot::release_messages()). Key and bytes lie behind the row's own fields, and so do the
// hashes under which indexes have it, where they were made: to look at a row is one wait for memory,
// and its next version needs no message of it. Threadsafe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
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
  static Ref share(T* target) {
    target->refs.fetch_add(1, std::memory_order_relaxed);
    return Ref(target);
  }
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
  // Empty from now on; the reference is the caller's.
  T* release() { return std::exchange(target_, nullptr); }
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
  // A serialized message of the kind, known to parse.
  struct Content {
    const Kind& kind;
    RowKeyRef key;
    std::string_view bytes;
    bool exact = false;  // see has_exact_bytes()
    std::optional<std::span<const uint64_t>> index_hashes{};
  };
  static RowRef of(const Content& content);
  // With its message.
  static RowRef of(const Content& content, Resource resource);
  static void destroy(const Row* row);

  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  [[nodiscard]] const Kind& kind() const { return kind_; }
  [[nodiscard]] const RowKeyRef& row_key() const { return row_key_; }
  [[nodiscard]] std::string_view key() const { return {behind_hashes(), key_size_}; }
  // Of its message.
  [[nodiscard]] std::string_view bytes() const { return {behind_hashes() + key_size_, size_}; }
  // Snapshot::index_hashes() of its message; nothing: not at hand.
  [[nodiscard]] std::optional<std::span<const uint64_t>> index_hashes() const {
    if (!has_hashes_) return std::nullopt;
    return std::span(reinterpret_cast<const uint64_t*>(this + 1), hash_count_);
  }
  // They are its deterministic_bytes(): what comes from disk may be another program's.
  [[nodiscard]] bool has_exact_bytes() const { return exact_; }
  // Parses and keeps the message. The reference is good until release() gave it away.
  [[nodiscard]] const Resource& resource() const {
    const Resource* parsed = parsed_.load(std::memory_order_acquire);
    return parsed != nullptr ? *parsed : parse();
  }
  [[nodiscard]] bool is_parsed() const {
    return parsed_.load(std::memory_order_relaxed) != nullptr;
  }
  // The same without keeping it.
  [[nodiscard]] Resource peek() const;
  // The same for who has no snapshot that the row is in: parses in any case.
  [[nodiscard]] Resource parse_anew() const;
  // Keeps bytes only, and gives the message, which others may still be looking at; null when it
  // was not parsed. One thread at a time.
  [[nodiscard]] std::unique_ptr<const Resource> release() const;

  // Messages that rows of this process hold parsed.
  static int64_t parsed_count();

  mutable std::atomic<uint32_t> refs = 1;

 private:
  static Row* make(const Content& content);
  explicit Row(const Content& content);
  ~Row();
  const Resource& parse() const;
  [[nodiscard]] const char* behind_hashes() const {
    return reinterpret_cast<const char*>(this + 1) + hash_count_ * sizeof(uint64_t);
  }

  const bool exact_;
  const bool has_hashes_;
  const uint16_t hash_count_;
  const uint32_t key_size_;
  const uint32_t size_;
  const Kind& kind_;
  const RowKeyRef row_key_;
  mutable std::atomic<const Resource*> parsed_ = nullptr;
  // The hashes, the key and the bytes follow.
};

}  // namespace frameworks
