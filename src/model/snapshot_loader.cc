#include "model/snapshot_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "model/kind_table.h"

namespace frameworks {
namespace {

constexpr size_t kBatch = 2'048;
constexpr size_t kQueue = 16;  // batches that wait at most

}  // namespace

SnapshotLoader::SnapshotLoader(unsigned threads) : parts_(threads) {
  for (Part& part : parts_) {
    part.resize(all_kinds().size());
    threads_.emplace_back([this, &part] { work(part); });
  }
}

SnapshotLoader::~SnapshotLoader() { stop(); }

void SnapshotLoader::stop() {
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  threads_.clear();
}

Status SnapshotLoader::failure() {
  std::lock_guard lock(mutex_);
  if (error_ != nullptr) return *error_;
  return {};
}

void SnapshotLoader::push(Batch batch) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return queue_.size() < kQueue || error_ != nullptr; });
    queue_.push_back(std::move(batch));
  }
  changed_.notify_all();
}

Status SnapshotLoader::add(std::string_view kind_name, std::string_view tenant,
                           std::string_view name, std::string_view bytes) {
  const Kind* kind = find_kind(kind_name);
  if (kind == nullptr)
    return Error(Code::kFailedPrecondition,
                 fmt::format("kind \"{}\" of \"{}\" is unknown: use the program that wrote it",
                             kind_name, name));
  filling_.push_back(Row::of({*kind, RowKey::of(tenant, name), bytes}));
  if (filling_.size() < kBatch) return {};
  RETURN_IF_ERROR(failure());
  push(std::move(filling_));
  filling_.clear();
  return {};
}

void SnapshotLoader::take_in(const Row& row, const RowRef& ref, Message& scratch, Entries& out) {
  const std::string_view bytes = row.bytes();
  const bool good = scratch.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const pb::Metadata& metadata = row.kind().metadata(scratch);
  const std::string_view key = row.key();
  const bool same_key = key.size() == metadata.tenant().size() + 1 + metadata.name().size() &&
                        key.starts_with(metadata.tenant()) && key.ends_with(metadata.name());
  if (!good || !same_key) {
    std::lock_guard lock(mutex_);
    if (error_ == nullptr)
      error_ = std::make_unique<Error>(
          Code::kDataLoss, fmt::format("{}/{}: the stored bytes are broken", row.kind().name,
                                       key.substr(key.find('\x1f') + 1)));
    return;
  }
  const RowKeyRef& shared = row.row_key();
  out.rows.push_back({shared->hash(), ref});
  out.order.push_back({Snapshot::KindTable::kOrder, shared});
  for (const uint64_t hash : Snapshot::index_hashes(row.kind(), scratch))
    out.index.push_back({hash, shared});
}

void SnapshotLoader::work(Part& part) {
  // One message of each kind, parsed into again and again: its strings keep their room.
  std::vector<std::unique_ptr<Message>> scratch(part.size());
  while (true) {
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return ended_ || !queue_.empty(); });
      if (queue_.empty()) return;
      batch = std::move(queue_.front());
      queue_.pop_front();
    }
    changed_.notify_all();
    for (const RowRef& row : batch) {
      const size_t kind = Snapshot::table_of(row->kind());
      if (scratch[kind] == nullptr) scratch[kind] = row->kind().make();
      take_in(*row, row, *scratch[kind], part[kind]);
    }
  }
}

template <typename T>
void SnapshotLoader::build(std::vector<Part>& parts, size_t kind,
                           std::vector<typename KeyedTree<T>::Entry> Entries::*list,
                           KeyedTree<T>& out) {
  auto all = std::move(parts.front()[kind].*list);
  for (size_t i = 1; i < parts.size(); ++i) {
    auto more = std::move(parts[i][kind].*list);
    all.insert(all.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
  }
  std::sort(all.begin(), all.end(), KeyedTree<T>::before);
  out = KeyedTree<T>::build(std::move(all));
}

Result<Snapshot> SnapshotLoader::finish() {
  push(std::move(filling_));
  const size_t threads = parts_.size();
  stop();
  RETURN_IF_ERROR(failure());
  Snapshot out;
  const size_t trees = out.tables_.size() * 3;
  const auto build_tree = [&](size_t kind, size_t tree) {
    Snapshot::KindTable& table = out.tables_[kind];
    if (tree == 0) build<Row>(parts_, kind, &Entries::rows, table.rows);
    if (tree == 1) build<RowKey>(parts_, kind, &Entries::order, table.order);
    if (tree == 2) build<RowKey>(parts_, kind, &Entries::index, table.index);
  };
  std::atomic<size_t> next = 0;
  {
    std::vector<std::jthread> builders;
    for (size_t i = 0; i < threads; ++i)
      builders.emplace_back([&] {
        for (size_t job; (job = next.fetch_add(1)) < trees;) build_tree(job / 3, job % 3);
      });
  }
  return out;
}

}  // namespace frameworks
