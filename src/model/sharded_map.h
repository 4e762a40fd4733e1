// A persistent ordered multimap: copying is O(1), changing a copy costs one small shard.
//
// Two levels of 32 children by hash of the key, then a sorted vector. Nodes that nobody else holds
// are changed in place, so that a batch of changes to one copy pays for each shard once. A map may
// be read by many threads; it is changed by one while nobody else holds *that object*.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace frameworks {

// Value needs `std::string_view sort_key() const` (unique among values with the same hash key).
template <typename Value>
class ShardedMap {
  static constexpr size_t kFan = 32;
  using Leaf = std::vector<Value>;
  struct Inner {
    std::array<std::shared_ptr<Leaf>, kFan> leaves;
  };

 public:
  // Calls `visit(const Value&)` for the values of the shard of `hash_key` from the first whose sort
  // key is not less than `from`, until it returns false.
  template <typename Visit>
  void scan(std::string_view hash_key, std::string_view from, Visit visit) const {
    const Leaf* leaf = find_leaf(hash_key);
    if (leaf == nullptr) return;
    for (auto at = position(*leaf, from); at != leaf->end(); ++at)
      if (!visit(*at)) return;
  }

  [[nodiscard]] const Value* find(std::string_view key) const {
    const Leaf* leaf = find_leaf(key);
    if (leaf == nullptr) return nullptr;
    const auto at = position(*leaf, key);
    return at != leaf->end() && at->sort_key() == key ? &*at : nullptr;
  }

  // Inserts, or replaces the value with the same sort key.
  void put(std::string_view hash_key, Value value) {
    Leaf& leaf = own_leaf(hash_key);
    const auto at = position(leaf, value.sort_key());
    if (at != leaf.end() && at->sort_key() == value.sort_key()) {
      *at = std::move(value);
    } else {
      leaf.insert(at, std::move(value));
      ++size_;
    }
  }

  void erase(std::string_view hash_key, std::string_view sort_key) {
    if (find_leaf(hash_key) == nullptr) return;
    Leaf& leaf = own_leaf(hash_key);
    const auto at = position(leaf, sort_key);
    if (at == leaf.end() || at->sort_key() != sort_key) return;
    leaf.erase(at);
    --size_;
  }

  [[nodiscard]] size_t size() const { return size_; }

  // Every value, in no particular order.
  template <typename Visit>
  void for_each(Visit visit) const {
    if (root_ == nullptr) return;
    for (const auto& inner : *root_) {
      if (inner == nullptr) continue;
      for (const auto& leaf : inner->leaves) {
        if (leaf == nullptr) continue;
        for (const Value& value : *leaf) visit(value);
      }
    }
  }

 private:
  using Root = std::array<std::shared_ptr<Inner>, kFan>;

  static size_t hash(std::string_view key) { return std::hash<std::string_view>{}(key); }

  template <typename L>
  static auto position(L& leaf, std::string_view key) {
    return std::lower_bound(
        leaf.begin(), leaf.end(), key,
        [](const Value& value, std::string_view k) { return value.sort_key() < k; });
  }

  const Leaf* find_leaf(std::string_view key) const {
    if (root_ == nullptr) return nullptr;
    const size_t h = hash(key);
    const auto& inner = (*root_)[h % kFan];
    return inner == nullptr ? nullptr : inner->leaves[h / kFan % kFan].get();
  }

  template <typename T>
  static T& own(std::shared_ptr<T>& pointer) {
    if (pointer == nullptr) {
      pointer = std::make_shared<T>();
    } else if (pointer.use_count() != 1) {
      pointer = std::make_shared<T>(*pointer);
    } else {
      // use_count() reads relaxed: another thread that just let go of its reference may have read
      // until then. Taking and dropping a reference orders its reads before our writes.
      const std::shared_ptr<T> pin = pointer;
    }
    return *pointer;
  }

  Leaf& own_leaf(std::string_view key) {
    const size_t h = hash(key);
    return own(own(own(root_)[h % kFan]).leaves[h / kFan % kFan]);
  }

  std::shared_ptr<Root> root_;
  size_t size_ = 0;
};

}  // namespace frameworks
