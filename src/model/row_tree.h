// A persistent ordered set of rows, or of their keys, by a hash and then by key: copying is O(1),
// changing a copy costs one path of small nodes, also where very many entries share a hash.
//
// A B+ tree with counted nodes. Nodes that nobody else holds are changed in place, so that a batch
// of changes to one copy pays for each path once. A tree may be read by many threads; it is changed
// by one while nobody else holds *that object*.
//
// To copy a node is to count up all that it has, which lies all over memory, and to count it down
// again when the original goes. Mostly the original goes soon: with Loans the copy has the same
// things uncounted until then, and takes them over from it.
#pragma once

#include <boost/container/static_vector.hpp>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/memory.h"
#include "model/row.h"

namespace frameworks {

// T is Row or RowKey.
template <typename T>
class KeyedTree {
  struct Node;

 public:
  struct Entry {
    uint64_t hash = 0;
    Ref<const T> item;
  };
  static bool before(const Entry& a, const Entry& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.item->key() < b.item->key();
  }

  // What changed nodes of a tree borrow of those that they replaced. From the first change with it to
  // settle() the changed tree must not go; copies of it may be made, read, changed without loans and
  // destroyed by any thread. For one thread.
  class Loans {
   public:
    Loans() = default;
    Loans(const Loans&) = delete;
    Loans& operator=(const Loans&) = delete;
    ~Loans() { settle(); }
    // What is borrowed of a node that nobody else has any more is taken over; other things are
    // counted.
    void settle();

   private:
    friend class KeyedTree;
    struct Loan {
      Ref<Node> from;
      Node* to = nullptr;  // null: settled
    };
    static void settle(Loan& loan);
    // A node's before those of the nodes below it; nothing is borrowed of who has borrowed.
    std::vector<Loan> all_;
  };

  KeyedTree() = default;
  // Of entries in order, without repeats.
  static KeyedTree build(std::vector<Entry> sorted);

  // nullptr when there is none.
  [[nodiscard]] const T* find(uint64_t hash, std::string_view key) const {
    return find(hash, key, [&](const T& item) { return item.key() == key; });
  }
  // The same for who knows the item by something that is nearer than its key.
  template <typename Is>
  [[nodiscard]] const T* find(uint64_t hash, std::string_view key, Is is) const {
    if (!root_) return nullptr;
    const Node* node = root_.get();
    while (!node->is_leaf) {
      node = children(*node)[child_for(*node, hash, key)].item.get();
      fetch_ahead(node, sizeof(Leaf));
    }
    const auto& all = entries(*node);
    for (size_t i = count_below(all.data(), all.size(), hash);
         i < all.size() && all[i].hash == hash; ++i) {
      const T* item = all[i].item.get();
      fetch_ahead(item, sizeof(T) + kKey);
      if (is(*item)) return item;
    }
    return nullptr;
  }
  // Calls `visit(const T&)` for the items of the hash from the first whose key is not less than
  // `from`, in order of key, until it returns false.
  template <typename Visit>
  void scan(uint64_t hash, std::string_view from, Visit visit) const {
    if (root_) scan(*root_, hash, from, visit);
  }
  // Calls `visit(const T&)` for every item, in order of hash and key.
  template <typename Visit>
  void each(Visit visit) const {
    if (root_) each(*root_, visit);
  }
  // Inserts, or replaces the item of the same hash and key. Without loans nothing is borrowed.
  void put(uint64_t hash, Ref<const T> item, Loans* loans = nullptr);
  void erase(uint64_t hash, std::string_view key, Loans* loans = nullptr);
  [[nodiscard]] size_t size() const { return size_; }

 private:
  static constexpr size_t kMost = 16;   // entries or children of a node
  static constexpr size_t kBuilt = 14;  // so that the first insertions need no room
  static constexpr size_t kKey = 64;    // behind an item, with whatever lies before it

  struct Node {
    explicit Node(bool leaf) : is_leaf(leaf) {}
    std::atomic<uint32_t> refs = 1;
    const bool is_leaf;
    uint16_t borrowed = 0;  // bit i: item i is
    uint32_t loan = 0;      // its place among the loans, counted from 1; 0: none
    static void destroy(Node* node);
  };
  struct Child {
    uint64_t hash = 0;  // no entry below has a lower one; of the first child: without meaning
    Ref<Node> item;
  };
  // A leaf has entries, an inner node children, in the node itself; neither is ever empty.
  template <typename Item>
  struct NodeOf : Node {
    NodeOf() : Node(std::is_same_v<Item, Entry>) {}
    NodeOf(const NodeOf& other) : Node(other.is_leaf), items(other.items) {}
    boost::container::static_vector<Item, kMost + 1> items;
  };
  using Leaf = NodeOf<Entry>;
  using Inner = NodeOf<Child>;
  static const auto& entries(const Node& node) { return static_cast<const Leaf&>(node).items; }
  static auto& entries(Node& node) { return static_cast<Leaf&>(node).items; }
  static const auto& children(const Node& node) { return static_cast<const Inner&>(node).items; }
  static auto& children(Node& node) { return static_cast<Inner&>(node).items; }

  template <typename Visit>
  static bool scan(const Node& node, uint64_t hash, std::string_view from, Visit& visit) {
    if (node.is_leaf) {
      for (size_t i = place(node, hash, from); i < entries(node).size(); ++i) {
        const Entry& entry = entries(node)[i];
        if (entry.hash != hash || !visit(*entry.item)) return false;
      }
      return true;
    }
    for (size_t i = child_for(node, hash, from); i < children(node).size(); ++i)
      if (!scan(*children(node)[i].item, hash, from, visit)) return false;
    return true;
  }
  template <typename Visit>
  static void each(const Node& node, Visit& visit) {
    if (node.is_leaf) {
      for (const Entry& entry : entries(node)) visit(*entry.item);
    } else {
      for (const Child& child : children(node)) each(*child.item, visit);
    }
  }
  static size_t place(const Node& leaf, uint64_t hash, std::string_view key);
  static size_t child_for(const Node& inner, uint64_t hash, std::string_view key);
  static const Entry& first_of(const Node& node);
  // How many have a lower hash. Without branches that depend on it: hashes are random, and every
  // guess of the processor would be wrong half of the time.
  template <typename Item>
  static size_t count_below(const Item* items, size_t count, uint64_t hash) {
    const Item* base = items;
    while (count > 1) {
      const size_t half = count / 2;
      base += base[half - 1].hash < hash ? half : 0;
      count -= half;
    }
    return static_cast<size_t>(base - items) + (count == 1 && base->hash < hash ? 1 : 0);
  }
  // A copy for changing.
  static Ref<Node> copy(Node& node, Loans* loans);
  template <typename Item>
  static Ref<Node> copy(const NodeOf<Item>& node, Loans* loans);
  // Of a tree that is being changed: the node, of which nobody else has a part. `child`: the parent's,
  // which is such a node.
  static Node& own(Ref<Node>& root, Loans* loans);
  static Node& own(Inner& parent, size_t child, Loans* loans);
  // What only nodes of one's own go through.
  template <typename Item>
  static void replace(NodeOf<Item>& node, size_t i, decltype(Item::item) item);
  static void settle(Node& node, Loans* loans);  // before its items move
  template <typename Item>
  static void settle(NodeOf<Item>& from, NodeOf<Item>& to);
  template <typename Item>
  static Child split(NodeOf<Item>& node);
  template <typename Item>
  static void cut(std::vector<Item> items, std::vector<Child>& out);
  static bool put(Node& node, Entry& entry, Child& right, Loans* loans);
  static void erase(Node& node, uint64_t hash, std::string_view key, Loans* loans);

  Ref<Node> root_;
  size_t size_ = 0;
};

using RowTree = KeyedTree<Row>;
using KeyTree = KeyedTree<RowKey>;

}  // namespace frameworks
