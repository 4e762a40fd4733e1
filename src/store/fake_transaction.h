// A transaction over a snapshot in memory, for tests of what is derived inside transactions.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "model/snapshot.h"
#include "store/store.h"

namespace frameworks {

// Writes take effect at once; there are no revisions, times or generations but the snapshot's own.
class FakeTransaction final : public Transaction {
 public:
  explicit FakeTransaction(Snapshot snapshot = {}, Edit derive = nullptr)
      : snapshot_(std::move(snapshot)), derive_(std::move(derive)) {}

  const Snapshot& snapshot() const override { return snapshot_; }
  void put(Resource resource) override {
    touch(resource.key());
    snapshot_.put(std::move(resource));
  }
  using Transaction::put;
  void remove(const ResourceKey& key) override {
    touch(key);
    snapshot_.remove(key);
  }
  WallTime time() const override { return snapshot_.time(); }
  std::vector<ResourceKey> changed() const override { return changed_; }
  Status derive() override { return derive_ ? derive_(*this) : Status(); }

  // How many puts and removes there were since the last call.
  size_t take_writes() { return std::exchange(writes_, 0); }

 private:
  void touch(const ResourceKey& key) {
    ++writes_;
    if (std::find(changed_.begin(), changed_.end(), key) == changed_.end()) changed_.push_back(key);
  }

  Snapshot snapshot_;
  Edit derive_;
  std::vector<ResourceKey> changed_;
  size_t writes_ = 0;
};

}  // namespace frameworks
