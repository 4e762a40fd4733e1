// The store's transaction: writes to a working snapshot in place, and can take them back.
//
// In place, because edits that share a commit then share its copies of the snapshot's parts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "store/store.h"

namespace frameworks {

class Draft final : public Transaction {
 public:
  // `working` is nobody else's while the draft lives. `seal` may be null: nothing is sealed.
  // `derive` is Store::open()'s; it may be empty, and must outlive the draft.
  Draft(Snapshot& working, WallTime time, const SealKeys* seal, const Edit& derive)
      : working_(working), time_(time), seal_(seal), derive_(derive) {}

  const Snapshot& snapshot() const override { return working_; }
  void put(Resource resource) override;
  using Transaction::put;
  void remove(const ResourceKey& key) override;
  WallTime time() const override { return time_; }
  std::vector<ResourceKey> changed() const override;
  Status derive() override;

  // Adds what is different now to `out`, with `actor`; the working snapshot gets the next revision
  // when anything is. The draft is used up.
  void finish(const Actor& actor, std::vector<Change>& out);
  // Takes all writes back. The draft is used up.
  void undo();

 private:
  struct Touched {
    ResourceKey key;
    RowRef before;   // null: there was none
    RowRef after{};  // null: there is none now
    int writes = 0;
  };
  struct HashOfKey {
    size_t operator()(const ResourceKey& key) const {
      const std::hash<std::string_view> hash;
      return hash(key.name) ^ (hash(key.kind) << 1) ^ (hash(key.tenant) << 2);
    }
  };
  // Up to so many are looked through, more are looked up.
  static constexpr size_t kFew = 16;
  Touched& touch(const ResourceKey& key, const Row* current);

  Snapshot& working_;
  WallTime time_;
  const SealKeys* seal_;
  const Edit& derive_;
  size_t writes_ = 0;
  std::optional<size_t> derived_;  // writes_ when all was derived
  std::vector<Touched> touched_;
  std::unordered_map<ResourceKey, size_t, HashOfKey>
      places_;  // in touched_, once there are more than a few
};

}  // namespace frameworks
