// The rows of one kind in a snapshot: what Snapshot and SnapshotLoader share.
#pragma once

#include "model/row_tree.h"
#include "model/snapshot.h"

namespace frameworks {

// Order and index know keys, not versions: a new version of a resource changes `rows` alone.
struct Snapshot::KindTable {
  static constexpr uint64_t kOrder = 0;

  RowTree rows;   // by hash of the key
  KeyTree order;  // all in order of key, under one hash
  KeyTree index;  // by hash of each index and value, in order of key

  // Calls `visit(const Row&)` in order of key from the first that is not less than `from`, until
  // it returns false.
  template <typename Visit>
  void scan(std::string_view from, Visit visit) const {
    order.scan(kOrder, from, [&](const RowKey& key) { return visit(row_of(key)); });
  }
  template <typename Visit>
  void scan_by(uint64_t index_hash, std::string_view from, Visit visit) const {
    index.scan(index_hash, from, [&](const RowKey& key) { return visit(row_of(key)); });
  }

 private:
  [[nodiscard]] const Row& row_of(const RowKey& key) const {
    // All three trees have the same RowKey of a resource.
    const auto is = [&](const Row& row) { return row.row_key().get() == &key; };
    const Row* row = rows.find(key.hash(), key.key(), is);
    CHECK(row != nullptr);
    return *row;
  }
};

}  // namespace frameworks
