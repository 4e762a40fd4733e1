#include "model/row_tree.h"

#include <algorithm>
#include <iterator>

namespace frameworks {

template <typename T>
void KeyedTree<T>::Node::destroy(Node* node) {
  if (node->is_leaf) {
    for (const Entry& entry : entries(*node)) __builtin_prefetch(&entry.item->refs, 1);
    delete static_cast<Leaf*>(node);
  } else {
    for (const Child& child : children(*node)) __builtin_prefetch(&child.node->refs, 1);
    delete static_cast<Inner*>(node);
  }
}

template <typename T>
const typename KeyedTree<T>::Entry& KeyedTree<T>::first_of(const Node& node) {
  const Node* at = &node;
  while (!at->is_leaf) at = children(*at).front().node.get();
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
    const Entry& first = first_of(*child.node);
    return first.hash == hash && first.item->key() <= key;
  });
  return static_cast<size_t>(at - all.begin()) - 1;
}

template <typename T>
typename KeyedTree<T>::Node& KeyedTree<T>::own(Ref<Node>& node) {
  if (node.unique()) return *node;
  // The counters lie all over memory, and each waits for the one before: asked for together they
  // come together.
  if (node->is_leaf) {
    for (const Entry& entry : entries(*node)) __builtin_prefetch(&entry.item->refs, 1);
    node = Ref<Node>(new Leaf(static_cast<const Leaf&>(*node)));
  } else {
    for (const Child& child : children(*node)) __builtin_prefetch(&child.node->refs, 1);
    node = Ref<Node>(new Inner(static_cast<const Inner&>(*node)));
  }
  return *node;
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
bool KeyedTree<T>::put(Ref<Node>& at, Entry& entry, Child& right) {
  Node& node = own(at);
  if (node.is_leaf) {
    auto& all = entries(node);
    const auto place_of = static_cast<std::ptrdiff_t>(place(node, entry.hash, entry.item->key()));
    const auto found = all.begin() + place_of;
    if (found != all.end() && found->hash == entry.hash &&
        found->item->key() == entry.item->key()) {
      found->item = std::move(entry.item);
      return false;
    }
    all.insert(found, std::move(entry));
    if (all.size() > kMost) right = split(static_cast<Leaf&>(node));
    return true;
  }
  auto& all = children(node);
  const size_t i = child_for(node, entry.hash, entry.item->key());
  Child split_off;
  const bool added = put(all[i].node, entry, split_off);
  if (split_off.node) {
    all.insert(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(split_off));
    if (all.size() > kMost) right = split(static_cast<Inner&>(node));
  }
  return added;
}

template <typename T>
void KeyedTree<T>::put(uint64_t hash, Ref<const T> item) {
  if (!root_) root_ = Ref<Node>(new Leaf);
  Entry entry{hash, std::move(item)};
  Child right;
  if (put(root_, entry, right)) ++size_;
  if (!right.node) return;
  auto* root = new Inner;
  root->items.push_back({0, std::move(root_)});
  root->items.push_back(std::move(right));
  root_ = Ref<Node>(root);
}

// Nodes that became small stay so until they are empty: fleets grow more than they shrink.
template <typename T>
void KeyedTree<T>::erase(Ref<Node>& at, uint64_t hash, std::string_view key) {
  Node& node = own(at);
  if (node.is_leaf) {
    auto& all = entries(node);
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(place(node, hash, key)));
    return;
  }
  auto& all = children(node);
  const size_t i = child_for(node, hash, key);
  Ref<Node>& child = all[i].node;
  erase(child, hash, key);
  const bool is_empty = child->is_leaf ? entries(*child).empty() : children(*child).empty();
  if (is_empty) all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
}

template <typename T>
void KeyedTree<T>::erase(uint64_t hash, std::string_view key) {
  if (find(hash, key) == nullptr) return;
  erase(root_, hash, key);
  --size_;
  if (size_ == 0) root_ = {};
  while (root_ && !root_->is_leaf && children(*root_).size() == 1) {
    Ref<Node> only = children(*root_).front().node;
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
  tree.root_ = std::move(level.front().node);
  return tree;
}

template class KeyedTree<Row>;
template class KeyedTree<RowKey>;

}  // namespace frameworks
