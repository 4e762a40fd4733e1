#include "model/row_tree.h"

#include <algorithm>
#include <iterator>

namespace frameworks {

template <typename T>
void KeyedTree<T>::Node::destroy(Node* node) {
  CHECK(node->borrowed == 0);
  if (node->is_leaf) {
    delete static_cast<Leaf*>(node);
  } else {
    delete static_cast<Inner*>(node);
  }
}

template <typename T>
const typename KeyedTree<T>::Entry& KeyedTree<T>::first_of(const Node& node) {
  const Node* at = &node;
  while (!at->is_leaf) at = children(*at).front().item.get();
  return entries(*at).front();
}

// The first entry that is not less.
template <typename T>
size_t KeyedTree<T>::place(const Node& leaf, uint64_t hash, std::string_view key) {
  const auto& all = entries(leaf);
  const auto from =
      all.begin() + static_cast<std::ptrdiff_t>(count_below(all.data(), all.size(), hash));
  const auto at = std::partition_point(from, all.end(), [&](const Entry& entry) {
    return entry.hash == hash && entry.item->key() < key;
  });
  return static_cast<size_t>(at - all.begin());
}

// The child that has the entry, or would get it. Where hashes are equal the first key below a child
// decides: it may have risen since the child was made, and then this child's predecessor is right.
template <typename T>
size_t KeyedTree<T>::child_for(const Node& inner, uint64_t hash, std::string_view key) {
  const auto& all = children(inner);
  const size_t below = count_below(all.data() + 1, all.size() - 1, hash);
  const auto from = all.begin() + static_cast<std::ptrdiff_t>(below) + 1;
  if (from == all.end() || from->hash != hash) return below;
  const auto at = std::partition_point(from, all.end(), [&](const Child& child) {
    if (child.hash != hash) return false;
    const Entry& first = first_of(*child.item);
    return first.hash == hash && first.item->key() <= key;
  });
  return static_cast<size_t>(at - all.begin()) - 1;
}

template <typename T>
template <typename Item>
Ref<typename KeyedTree<T>::Node> KeyedTree<T>::copy(const NodeOf<Item>& node, Loans* loans) {
  if (loans == nullptr) {
    // The counters lie all over memory, and each waits for the one before: asked for together they
    // come together.
    for (const Item& each : node.items) __builtin_prefetch(&each.item->refs, 1);
    return Ref<Node>(new NodeOf<Item>(node));
  }
  auto* out = new NodeOf<Item>;
  // A reference that is taken over is not counted.
  for (const Item& each : node.items)
    out->items.push_back({each.hash, decltype(Item::item)(each.item.get())});
  out->borrowed = static_cast<uint16_t>((1U << node.items.size()) - 1);
  return Ref<Node>(out);
}

template <typename T>
Ref<typename KeyedTree<T>::Node> KeyedTree<T>::copy(Node& node, Loans* loans) {
  if (loans != nullptr) settle(node, loans);
  Ref<Node> out = node.is_leaf ? copy(static_cast<const Leaf&>(node), loans)
                               : copy(static_cast<const Inner&>(node), loans);
  if (loans != nullptr) {
    loans->all_.push_back({Ref<Node>::share(&node), out.get()});
    out->loan = static_cast<uint32_t>(loans->all_.size());
  }
  return out;
}

template <typename T>
typename KeyedTree<T>::Node& KeyedTree<T>::own(Ref<Node>& root, Loans* loans) {
  if (!root.unique()) root = copy(*root, loans);
  return *root;
}

template <typename T>
typename KeyedTree<T>::Node& KeyedTree<T>::own(Inner& parent, size_t child, Loans* loans) {
  const Ref<Node>& node = parent.items[child].item;
  const bool borrowed = (parent.borrowed >> child & 1) != 0;
  if (borrowed || !node.unique()) replace(parent, child, copy(*node, loans));
  return *node;
}

template <typename T>
template <typename Item>
void KeyedTree<T>::replace(NodeOf<Item>& node, size_t i, decltype(Item::item) item) {
  const auto bit = static_cast<uint16_t>(1U << i);
  if ((node.borrowed & bit) != 0) node.items[i].item.release();
  node.borrowed &= static_cast<uint16_t>(~bit);
  node.items[i].item = std::move(item);
}

template <typename T>
void KeyedTree<T>::settle(Node& node, Loans* loans) {
  if (node.loan == 0) return;
  CHECK(loans != nullptr && loans->all_[node.loan - 1].to == &node);
  Loans::settle(loans->all_[node.loan - 1]);
}

template <typename T>
template <typename Item>
void KeyedTree<T>::settle(NodeOf<Item>& from, NodeOf<Item>& to) {
  const bool goes = from.refs.load(std::memory_order_acquire) == 1;
  for (size_t i = 0; i < to.items.size(); ++i) {
    if ((to.borrowed >> i & 1) == 0) continue;
    if (goes) {
      from.items[i].item.release();
    } else {
      to.items[i].item->refs.fetch_add(1, std::memory_order_relaxed);
    }
  }
}

template <typename T>
void KeyedTree<T>::Loans::settle(Loan& loan) {
  Node* to = std::exchange(loan.to, nullptr);
  if (to == nullptr) return;
  const Ref<Node> from = std::move(loan.from);
  if (to->borrowed != 0) {
    if (to->is_leaf) {
      KeyedTree::settle(static_cast<Leaf&>(*from), static_cast<Leaf&>(*to));
    } else {
      KeyedTree::settle(static_cast<Inner&>(*from), static_cast<Inner&>(*to));
    }
  }
  to->borrowed = 0;
  to->loan = 0;
}

template <typename T>
void KeyedTree<T>::Loans::settle() {
  constexpr size_t kAhead = 4;
  for (size_t i = 0; i < all_.size(); ++i) {
    if (i + kAhead < all_.size() && all_[i + kAhead].to != nullptr) {
      fetch_ahead(all_[i + kAhead].from.get(), sizeof(Leaf));
      fetch_ahead(all_[i + kAhead].to, sizeof(Leaf));
    }
    settle(all_[i]);
  }
  all_.clear();
}

// Takes the upper half out of the node.
template <typename T>
template <typename Item>
typename KeyedTree<T>::Child KeyedTree<T>::split(NodeOf<Item>& node) {
  auto* right = new NodeOf<Item>;
  const auto middle = node.items.begin() + static_cast<std::ptrdiff_t>(node.items.size() / 2);
  right->items.assign(std::make_move_iterator(middle), std::make_move_iterator(node.items.end()));
  node.items.erase(middle, node.items.end());
  return {right->items.front().hash, Ref<Node>(right)};
}

// True when the entry is new; `right` gets what had to be split off.
template <typename T>
bool KeyedTree<T>::put(Node& node, Entry& entry, Child& right, Loans* loans) {
  if (node.is_leaf) {
    Leaf& leaf = static_cast<Leaf&>(node);
    const size_t i = place(node, entry.hash, entry.item->key());
    if (i < leaf.items.size() && leaf.items[i].hash == entry.hash &&
        leaf.items[i].item->key() == entry.item->key()) {
      replace(leaf, i, std::move(entry.item));
      return false;
    }
    settle(node, loans);
    leaf.items.insert(leaf.items.begin() + static_cast<std::ptrdiff_t>(i), std::move(entry));
    if (leaf.items.size() > kMost) right = split(leaf);
    return true;
  }
  Inner& inner = static_cast<Inner&>(node);
  const size_t i = child_for(node, entry.hash, entry.item->key());
  Child split_off;
  const bool added = put(own(inner, i, loans), entry, split_off, loans);
  if (split_off.item) {
    settle(node, loans);
    inner.items.insert(inner.items.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                       std::move(split_off));
    if (inner.items.size() > kMost) right = split(inner);
  }
  return added;
}

template <typename T>
void KeyedTree<T>::put(uint64_t hash, Ref<const T> item, Loans* loans) {
  if (!root_) root_ = Ref<Node>(new Leaf);
  Entry entry{hash, std::move(item)};
  Child right;
  if (put(own(root_, loans), entry, right, loans)) ++size_;
  if (!right.item) return;
  auto* root = new Inner;
  root->items.push_back({0, std::move(root_)});
  root->items.push_back(std::move(right));
  root_ = Ref<Node>(root);
}

// Nodes that became small stay so until they are empty: fleets grow more than they shrink.
template <typename T>
void KeyedTree<T>::erase(Node& node, uint64_t hash, std::string_view key, Loans* loans) {
  settle(node, loans);
  if (node.is_leaf) {
    auto& all = entries(node);
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(place(node, hash, key)));
    return;
  }
  auto& all = children(node);
  const size_t i = child_for(node, hash, key);
  Node& child = own(static_cast<Inner&>(node), i, loans);
  erase(child, hash, key, loans);
  const bool is_empty = child.is_leaf ? entries(child).empty() : children(child).empty();
  if (is_empty) all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
}

template <typename T>
void KeyedTree<T>::erase(uint64_t hash, std::string_view key, Loans* loans) {
  if (find(hash, key) == nullptr) return;
  erase(own(root_, loans), hash, key, loans);
  --size_;
  if (size_ == 0) root_ = {};
  while (root_ && !root_->is_leaf && children(*root_).size() == 1) {
    Ref<Node> only = children(*root_).front().item;
    root_ = std::move(only);
  }
}

// Puts the items into nodes.
template <typename T>
template <typename Item>
void KeyedTree<T>::cut(std::vector<Item> items, std::vector<Child>& out) {
  for (size_t begin = 0; begin < items.size(); begin += kBuilt) {
    const auto from = items.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto count = static_cast<std::ptrdiff_t>(std::min(kBuilt, items.size() - begin));
    auto* node = new NodeOf<Item>;
    node->items.assign(std::make_move_iterator(from), std::make_move_iterator(from + count));
    out.push_back({node->items.front().hash, Ref<Node>(node)});
  }
}

template <typename T>
KeyedTree<T> KeyedTree<T>::build(std::vector<Entry> sorted) {
  KeyedTree tree;
  tree.size_ = sorted.size();
  if (sorted.empty()) return tree;
  std::vector<Child> level;
  level.reserve(sorted.size() / kBuilt + 1);
  cut(std::move(sorted), level);
  while (level.size() > 1) {
    std::vector<Child> above;
    cut(std::move(level), above);
    level = std::move(above);
  }
  tree.root_ = std::move(level.front().item);
  return tree;
}

template class KeyedTree<Row>;
template class KeyedTree<RowKey>;

}  // namespace frameworks
