// Tenants' contexts as bytes, ready to be sent: by every name of a tenant, from memory.
//
// A context is prepared when it is first asked for and kept until something changes it: its tenant,
// its grants, or the clusters, nodes, instances and services that it tells of. It therefore has a
// revision of its own: that of the last write that changed it, or a later one up to which it is
// known not to have changed (all start with the revision at which the directory did). Contexts of
// one revision are equal, in every server of a fleet.
//
// The endpoints of a cluster are kept once and shared by all tenants entitled to it; a change of a
// cluster marks the cluster, and no tenant is enumerated. What is kept is bounded: rarely asked
// contexts make room, and are prepared again. Answers are never older than Store::snapshot() was
// when they were asked for. Threadsafe.
//
// On the hottest paths find_prepared() answers without waiting for anybody and without counting a
// reference:
//
//   {
//     const ReadSection section;
//     if (const auto* answer = directory.find_prepared(section, tenant)) return use(*answer);
//   }
//   return use(directory.find(tenant));
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/ready_answer.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "store/store.h"

namespace frameworks {

class ReadSection;  // base/read_section.h

// One context, each time it is another one. For one caller at a time.
class ContextWatch {
 public:
  virtual ~ContextWatch() = default;
  // The context when it is not the one told last, the newest only; null: wait for a poke.
  // kNotFound: the tenant is gone.
  virtual Result<Ready> next() = 0;
};

class ContextDirectory {
 public:
  struct Options {
    // Contexts kept at most; about a kilobyte each.
    size_t entries = 131'072;
  };
  // The store must outlive it. kOutOfRange never happens in practice: the store cannot be followed.
  static Result<std::unique_ptr<ContextDirectory>> start(Store& store, Options options);
  static Result<std::unique_ptr<ContextDirectory>> start(Store& store) {
    return start(store, Options());
  }
  virtual ~ContextDirectory() = default;  // all watches must be gone

  // Of the tenant of this name, with its revision; null when there is none. Never while a section
  // is open.
  [[nodiscard]] virtual Ready find(std::string_view tenant) = 0;
  // By any name but an API key; null when it is nobody's. kInvalidArgument unless one name is
  // given. `tenant`, when given, gets the name of the one found.
  [[nodiscard]] virtual Result<Ready> find(const pb::TenantKey& key, std::string* tenant) = 0;

  // The same, until the section ends; null also when it must be prepared first: ask find() after
  // the section. Never fails.
  [[nodiscard]] virtual const ReadyAnswer* find_prepared(const ReadSection& section,
                                                         std::string_view tenant) = 0;
  [[nodiscard]] virtual const ReadyAnswer* find_prepared(const ReadSection& section,
                                                         const pb::TenantKey& key,
                                                         std::string_view* tenant) = 0;

  // Counts up with every write that changed any context: what was found between two equal counts is
  // of one snapshot.
  [[nodiscard]] virtual uint64_t changes() = 0;

  // `poke` is called when next() may have something; from any thread, must not block, and not
  // destroy the watch. kNotFound.
  virtual Result<std::unique_ptr<ContextWatch>> watch(std::string_view tenant,
                                                      std::function<void()> poke) = 0;
};

// What tells a caller who has `revision` that it is still good: "not modified".
Ready not_modified(int64_t revision);

}  // namespace frameworks
