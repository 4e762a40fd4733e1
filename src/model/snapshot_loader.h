// A snapshot of very many stored resources at once: checked and indexed on several threads, its
// trees built from sorted rows. The messages stay bytes.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "model/row_tree.h"
#include "model/snapshot.h"

namespace frameworks {

class SnapshotLoader {
 public:
  explicit SnapshotLoader(unsigned threads = 2);
  ~SnapshotLoader();

  // A resource with its key as it was stored; each key once. kFailedPrecondition: the kind is
  // unknown. kDataLoss: an earlier one's bytes are broken.
  Status add(std::string_view kind, std::string_view tenant, std::string_view name,
             std::string_view bytes);
  // The snapshot of all that was added, without a revision. Nothing may be added afterwards.
  Result<Snapshot> finish();

 private:
  using Batch = std::vector<RowRef>;
  struct Entries {
    std::vector<RowTree::Entry> rows;
    std::vector<KeyTree::Entry> order;
    std::vector<KeyTree::Entry> index;
  };
  // What one thread made, by kind.
  using Part = std::vector<Entries>;

  void work(Part& part);
  void take_in(const Row& row, const RowRef& ref, Message& scratch, Entries& out);
  void push(Batch batch);
  void stop();
  Status failure();
  // Joins, sorts and builds one of a kind's trees.
  template <typename T>
  static void build(std::vector<Part>& parts, size_t kind,
                    std::vector<typename KeyedTree<T>::Entry> Entries::*list, KeyedTree<T>& out);

  Batch filling_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> queue_;
  bool ended_ = false;
  std::unique_ptr<Error> error_;
  std::vector<Part> parts_;
  std::vector<std::jthread> threads_;
};

}  // namespace frameworks
