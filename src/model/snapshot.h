// The whole fleet at one revision: immutable once published, indexed, cheap to derive.
//
// Readers hold a `std::shared_ptr<const Snapshot>` and never wait. The store's writer derives the
// next one by copying (O(kinds)) and changing the copy (O(change)).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/kind.h"
#include "model/registry.h"
#include "model/sharded_map.h"

namespace frameworks {

using Revision = int64_t;

class Snapshot {
 public:
  Snapshot();

  // Of the last write that is part of this snapshot; 0: the empty fleet.
  [[nodiscard]] Revision revision() const { return revision_; }
  // When that write happened.
  [[nodiscard]] WallTime time() const { return time_; }

  // nullptr when there is none. Pointers live as long as the snapshot.
  [[nodiscard]] const Resource* find(const Kind& kind, std::string_view tenant,
                                     std::string_view name) const;
  [[nodiscard]] const Resource* find(const ResourceKey& key) const;
  template <typename T>
  [[nodiscard]] const T* find(std::string_view name) const {
    const Resource* resource = find(kind_of<T>(), {}, name);
    return resource == nullptr ? nullptr : &resource->as<T>();
  }

  // Every resource of a kind, sorted by tenant and name.
  [[nodiscard]] std::vector<Resource> list(const Kind& kind) const;
  template <typename T>
  [[nodiscard]] std::vector<std::shared_ptr<const T>> list() const {
    return typed<T>(list(kind_of<T>()));
  }
  [[nodiscard]] size_t count(const Kind& kind) const;

  // Resources of a kind by one of its indexes (see the kind's file), sorted by tenant and name,
  // e.g. find_by<pb::Node>("cluster", "eu-edge"). "tenant" is an index of every tenant-owned kind.
  [[nodiscard]] std::vector<Resource> find_by(const Kind& kind, std::string_view index,
                                              std::string_view value) const;
  template <typename T>
  [[nodiscard]] std::vector<std::shared_ptr<const T>> find_by(std::string_view index,
                                                              std::string_view value) const {
    return typed<T>(find_by(kind_of<T>(), index, value));
  }

  // For the owner of an unpublished copy.
  void put(Resource resource);
  void remove(const ResourceKey& key);
  void set_revision(Revision revision, WallTime time) {
    revision_ = revision;
    time_ = time;
  }

 private:
  struct Row {
    std::string key;  // tenant \x1f name
    Resource resource;
  };
  struct RowRef {
    std::shared_ptr<const Row> row;
    [[nodiscard]] std::string_view sort_key() const { return row->key; }
  };
  struct IndexRef {
    std::string key;  // index \x1f value \x1f tenant \x1f name
    std::shared_ptr<const Row> row;
    [[nodiscard]] std::string_view sort_key() const { return key; }
  };
  struct KindTable {
    ShardedMap<RowRef> rows;
    ShardedMap<IndexRef> index;
  };

  template <typename T>
  static std::vector<std::shared_ptr<const T>> typed(const std::vector<Resource>& resources) {
    std::vector<std::shared_ptr<const T>> out;
    out.reserve(resources.size());
    for (const Resource& resource : resources) out.push_back(resource.share<T>());
    return out;
  }
  static size_t table_of(const Kind& kind);

  Revision revision_ = 0;
  WallTime time_{};
  std::vector<KindTable> tables_;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace frameworks
