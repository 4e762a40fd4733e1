#include "model/row_tree.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "base/locked.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/registry.h"

namespace frameworks {
namespace {

// Few, so that entries share them.
uint64_t hash_of(int number) { return static_cast<uint64_t>(number) % 61 * 0x9E3779B97F4A7C15ULL; }

// Rows that say how often they were referred to when nothing but this does any more.
class Rows {
 public:
  RowRef make(int number) {
    while (keys_.size() <= static_cast<size_t>(number))
      keys_.push_back(RowKey::of("", std::to_string(keys_.size())));
    return all_.emplace_back(Row::of({.kind = kind_of<pb::Tenant>(),
                                      .key = keys_[static_cast<size_t>(number)],
                                      .bytes = std::to_string(all_.size())}));
  }
  [[nodiscard]] std::string_view key(int number) const {
    return keys_[static_cast<size_t>(number)]->key();
  }
  [[nodiscard]] bool nobody_else_has_any() const {
    return std::all_of(all_.begin(), all_.end(), [](const RowRef& row) { return row.unique(); });
  }

 private:
  std::vector<RowKeyRef> keys_;
  std::vector<RowRef> all_;
};

// A tree, and what has to be in it.
struct Version {
  RowTree tree;
  std::map<int, const Row*> wanted;

  void put(Rows& rows, int number, RowTree::Loans* loans) {
    RowRef row = rows.make(number);
    wanted[number] = row.get();
    tree.put(hash_of(number), std::move(row), loans);
  }
  void put_back(int number, const Row* row, RowTree::Loans* loans) {
    wanted[number] = row;
    tree.put(hash_of(number), RowRef::share(row), loans);
  }
  void erase(const Rows& rows, int number, RowTree::Loans* loans) {
    if (wanted.erase(number) > 0) tree.erase(hash_of(number), rows.key(number), loans);
  }
  [[nodiscard]] bool is_right(const Rows& rows) const {
    size_t count = 0;
    tree.each([&](const Row&) { ++count; });
    if (count != wanted.size() || tree.size() != wanted.size()) return false;
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& each) {
      return tree.find(hash_of(each.first), rows.key(each.first)) == each.second;
    });
  }
};

// Changes as a store's: groups of them with loans, upon what was published, of which others hold
// copies for a while, change them, and let them go; some groups are not published.
class Changes {
 public:
  explicit Changes(unsigned seed) : random_(seed) {
    for (int i = 0; i < kNumbers; ++i) rows_.make(i);
    const int count = below(kNumbers);
    for (int i = 0; i < count; ++i) published_.put(rows_, below(kNumbers), nullptr);
  }

  void run(int groups) {
    for (int group = 0; group < groups; ++group) {
      Version working = published_;
      RowTree::Loans loans;
      for (int edits = below(40); edits > 0; --edits) edit(working, loans);
      if (below(5) > 0) {
        Version before = std::exchange(published_, working);
        if (below(3) == 0) held_.push_back(std::move(before));
      }
      if (below(2) == 0) let_go();
      if (below(2) == 0) loans.settle();
      check(working);
    }
  }
  void check_all() {
    check(published_);
    for (const Version& version : held_) check(version);
    published_ = {};
    held_.clear();
    EXPECT_TRUE(rows_.nobody_else_has_any());
  }

 private:
  static constexpr int kNumbers = 600;

  int below(int end) { return static_cast<int>(random_() % static_cast<unsigned>(end)); }
  void check(const Version& version) { EXPECT_TRUE(version.is_right(rows_)); }
  void let_go() {
    if (!held_.empty()) held_.erase(held_.begin() + below(static_cast<int>(held_.size())));
  }
  void edit(Version& working, RowTree::Loans& loans) {
    const int number = below(kNumbers);
    switch (below(10)) {
      case 0:
        return working.erase(rows_, number, &loans);
      case 1:  // there and back
        if (const auto known = working.wanted.find(number); known != working.wanted.end()) {
          const Row* row = known->second;
          const RowRef keep = RowRef::share(row);
          working.put(rows_, number, &loans);
          working.put_back(number, row, &loans);
        }
        return;
      case 2:  // a copy that is changed without loans
        held_.push_back(below(2) == 0 ? working : published_);
        held_.back().put(rows_, number, nullptr);
        held_.back().erase(rows_, below(kNumbers), nullptr);
        return;
      case 3:
        return let_go();
      case 4:  // many at once, and fewer again
        for (int i = below(60); i > 0; --i) working.put(rows_, below(kNumbers), &loans);
        for (int i = below(60); i > 0; --i) working.erase(rows_, below(kNumbers), &loans);
        return;
      default:
        return working.put(rows_, number, &loans);
    }
  }

  std::mt19937 random_;
  Rows rows_;
  Version published_;
  std::vector<Version> held_;
};

RC_GTEST_PROP(RowTree, WhatIsBorrowedIsThereAndIsGivenBack, (unsigned seed)) {
  Changes changes(seed);
  changes.run(60);
  changes.check_all();
}

TEST(RowTree, TheCopyTakesOverWhatTheOriginalHad) {
  Rows rows;
  Version published;
  for (int i = 0; i < 500; ++i) published.put(rows, i, nullptr);
  {
    RowTree::Loans loans;
    Version working = published;
    working.put(rows, 7, &loans);
    EXPECT_EQ(published.wanted[8]->refs, 2) << "the original's, and that of these rows";
    published = std::move(working);
    EXPECT_EQ(published.wanted[8]->refs, 2) << "the copy has borrowed it";
    loans.settle();
    EXPECT_EQ(published.wanted[8]->refs, 2) << "and has it now";
  }
  EXPECT_TRUE(published.is_right(rows));
  published = {};
  EXPECT_TRUE(rows.nobody_else_has_any());
}

TEST(RowTree, IsReadAndCopiedByOthersBeforeItIsSettled) {
  Rows rows;
  std::vector<RowRef> fresh;
  for (int i = 0; i < 100'000; ++i) fresh.push_back(rows.make(i % 2'000));
  Locked<RowTree> published;
  for (int i = 0; i < 2'000; ++i)
    published.with([&](RowTree& tree) { tree.put(hash_of(i), fresh[static_cast<size_t>(i)]); });
  const auto now = [&] { return published.with([](const RowTree& tree) { return tree; }); };
  std::atomic<bool> done = false;
  const auto read = [&](bool changes) {
    while (!done) {
      RowTree mine = now();
      for (int i = 0; i < 2'000; i += 7) {
        const Row* row = mine.find(hash_of(i), rows.key(i));
        ASSERT_TRUE(row != nullptr && row->key() == rows.key(i));
        if (changes && i % 35 == 0) mine.erase(hash_of(i), rows.key(i));
      }
    }
  };
  {
    std::jthread reader([&] { read(false); });
    std::jthread writer([&] { read(true); });
    for (size_t i = 2'000; i < fresh.size();) {
      RowTree::Loans loans;
      RowTree before = now();
      RowTree working = before;
      for (int group = 0; group < 50 && i < fresh.size(); ++group, ++i)
        working.put(hash_of(static_cast<int>(i % 2'000)), fresh[i], &loans);
      published.with([&](RowTree& tree) { tree = std::move(working); });
      before = {};
    }
    done = true;
  }
  published.with([](RowTree& tree) { tree = {}; });
  fresh.clear();
  EXPECT_TRUE(rows.nobody_else_has_any());
}

}  // namespace
}  // namespace frameworks
