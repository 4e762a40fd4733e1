// The whole fleet at one revision: immutable once published, indexed, cheap to derive.
//
// Readers hold a `std::shared_ptr<const Snapshot>` and never wait. The store's writer derives the
// next one by copying (O(kinds)) and changing the copy (O(change)).
//
// A message is parsed when it is first asked for, and kept. What goes over very many resources
// without coming back to them uses scan(), which keeps nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/kind.h"
#include "model/registry.h"

namespace frameworks {

using Revision = int64_t;
class Row;
template <typename T>
class Ref;

class Snapshot {
 public:
  Snapshot();
  Snapshot(const Snapshot&);
  Snapshot(Snapshot&&) noexcept;
  Snapshot& operator=(const Snapshot&);
  Snapshot& operator=(Snapshot&&) noexcept;
  ~Snapshot();

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

  // Calls `visit` for the resources of a kind, in order of tenant and name, from the first after
  // that of `after` (or from the first of all), until it returns false. Keeps no message that was
  // not parsed already.
  using Visit = std::function<bool(const Resource&)>;
  struct After {
    std::string_view tenant;
    std::string_view name;
  };
  void scan(const Kind& kind, const Visit& visit, std::optional<After> after = {}) const;
  // The same of find_by().
  void scan_by(const Kind& kind, std::string_view index, std::string_view value, const Visit& visit,
               std::optional<After> after = {}) const;
  // The resource without keeping its message; empty when there is none.
  [[nodiscard]] Resource peek(const Kind& kind, std::string_view tenant,
                              std::string_view name) const;

  // The resource with the bytes of its message (row.h), for who writes its next version; null when
  // there is none.
  [[nodiscard]] const Row* row(const Kind& kind, std::string_view tenant,
                               std::string_view name) const;

  // What the changes of a copy borrow of the original (RowTree::Loans), which makes them cheaper. It
  // is settled when it is destroyed: best when all older snapshots have gone, and in any case before
  // the changed snapshot goes. For the thread that makes the changes.
  class Loans;
  // For the owner of an unpublished copy.
  void borrow();
  // What was borrowed, for who publishes this; else it is settled when this is destroyed.
  [[nodiscard]] std::shared_ptr<Loans> take_loans() { return std::move(loans_.held); }
  void put(Resource resource);
  // The same for who has the deterministic_bytes() of the message at hand, and what row() says;
  // gives what row() says now. The message is kept where that of `old` was: who looks at one version
  // of a resource will look at the next.
  Ref<const Row> put(const Resource& resource, std::string_view bytes, const Row* old);
  // What row() said of this snapshot once, or of another one.
  void put(Ref<const Row> row);
  // From disk, where `bytes` say what `resource` does; the message is not kept, as nobody has asked
  // for it.
  void put_packed(const Resource& resource, std::string_view bytes);
  void remove(const ResourceKey& key);
  void set_revision(Revision revision, WallTime time) {
    revision_ = revision;
    time_ = time;
  }

  // Messages that snapshots of this process hold parsed.
  static int64_t parsed_count();
  // What readers of a snapshot may still look at after its rows became bytes again. Readers of
  // earlier ones may as well: therefore a lease holds on to the next.
  class Lease {
   public:
    void retire(std::vector<std::unique_ptr<const Resource>> messages, std::shared_ptr<Lease> next);

   private:
    std::vector<std::unique_ptr<const Resource>> messages_;
    std::shared_ptr<Lease> next_;
  };
  // Makes all rows bytes again. The messages must outlive every snapshot that exists: give them to
  // the newest lease, then publish with another. One thread at a time.
  [[nodiscard]] std::vector<std::unique_ptr<const Resource>> release_messages() const;
  void set_lease(std::shared_ptr<Lease> lease) { lease_ = std::move(lease); }

 private:
  friend class SnapshotLoader;
  struct KindTable;
  struct HashesOf;

  template <typename T>
  static std::vector<std::shared_ptr<const T>> typed(const std::vector<Resource>& resources) {
    std::vector<std::shared_ptr<const T>> out;
    out.reserve(resources.size());
    for (const Resource& resource : resources) out.push_back(resource.share<T>());
    return out;
  }
  void put_row(KindTable& table, const Row* old, Ref<const Row> row);
  void remove_row(KindTable& table, const Row& row);
  [[nodiscard]] const Row* find_row(const Kind& kind, std::string_view tenant,
                                    std::string_view name) const;
  static size_t table_of(const Kind& kind);
  static uint64_t index_hash(std::string_view index, std::string_view value);
  static std::vector<uint64_t> index_hashes(const Kind& kind, const Message& message);

  // Not of a copy of the snapshot.
  struct OwnLoans {
    OwnLoans() = default;
    OwnLoans(const OwnLoans&) {}
    OwnLoans(OwnLoans&&) noexcept = default;
    OwnLoans& operator=(const OwnLoans&) {
      held.reset();
      return *this;
    }
    OwnLoans& operator=(OwnLoans&&) noexcept = default;
    std::shared_ptr<Loans> held;
  };

  OwnLoans loans_;  // first, so that assignments settle it before the trees go
  Revision revision_ = 0;
  WallTime time_{};
  std::vector<KindTable> tables_;
  std::shared_ptr<Lease> lease_;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace frameworks
