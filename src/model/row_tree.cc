#include "model/row_tree.h"

#include <algorithm>
#include <span>

namespace frameworks {

template <typename T>
const typename KeyedTree<T>::Entry& KeyedTree<T>::first_of(const Node& node) {
  const Node* at = &node;
  while (!at->children.empty()) at = at->children.front().node.get();
  return at->entries.front();
}

// The first entry that is not less.
template <typename T>
size_t KeyedTree<T>::place(const Node& leaf, uint64_t hash, std::string_view key) {
  const auto at =
      std::partition_point(leaf.entries.begin(), leaf.entries.end(), [&](const Entry& entry) {
        return entry.hash != hash ? entry.hash < hash : entry.item->key() < key;
      });
  return static_cast<size_t>(at - leaf.entries.begin());
}

// The child that has the entry, or would get it. Where hashes are equal the first key below a child
// decides: it may have risen since the child was made, and then this child's predecessor is right.
template <typename T>
size_t KeyedTree<T>::child_for(const Node& inner, uint64_t hash, std::string_view key) {
  const auto at = std::partition_point(inner.children.begin() + 1, inner.children.end(),
                                       [&](const Child& child) {
                                         if (child.low != hash) return child.low < hash;
                                         const Entry& first = first_of(*child.node);
                                         return first.hash == hash && first.item->key() <= key;
                                       });
  return static_cast<size_t>(at - inner.children.begin()) - 1;
}

template <typename T>
const T* KeyedTree<T>::find(uint64_t hash, std::string_view key) const {
  if (!root_) return nullptr;
  const Node* node = root_.get();
  while (!node->children.empty()) node = node->children[child_for(*node, hash, key)].node.get();
  const size_t at = place(*node, hash, key);
  if (at == node->entries.size()) return nullptr;
  const Entry& entry = node->entries[at];
  return entry.hash == hash && entry.item->key() == key ? entry.item.get() : nullptr;
}

template <typename T>
typename KeyedTree<T>::Node& KeyedTree<T>::own(Ref<Node>& node) {
  if (!node.unique()) {
    // The counters lie all over memory, and each waits for the one before: asked for together they
    // come together.
    for (const Entry& entry : node->entries) __builtin_prefetch(&entry.item->refs, 1);
    for (const Child& child : node->children) __builtin_prefetch(&child.node->refs, 1);
    Ref<Node> copy(new Node);
    if (node->children.empty()) {
      copy->entries.reserve(std::min(node->entries.size() + 2, kMost + 1));
      copy->entries = node->entries;
    } else {
      copy->children = node->children;
    }
    node = std::move(copy);
  }
  return *node;
}

// Takes the upper half out of the node.
template <typename T>
typename KeyedTree<T>::Child KeyedTree<T>::split(Node& node) {
  Child right{0, Ref<Node>(new Node)};
  const auto move_half = [](auto& from, auto& to) {
    const auto middle = from.begin() + static_cast<std::ptrdiff_t>(from.size() / 2);
    to.assign(std::make_move_iterator(middle), std::make_move_iterator(from.end()));
    from.erase(middle, from.end());
  };
  if (node.children.empty()) {
    move_half(node.entries, right.node->entries);
    right.low = right.node->entries.front().hash;
  } else {
    move_half(node.children, right.node->children);
    right.low = right.node->children.front().low;
  }
  return right;
}

// True when the entry is new; `right` gets what had to be split off.
template <typename T>
bool KeyedTree<T>::put(Ref<Node>& at, Entry& entry, Child& right) {
  Node& node = own(at);
  if (node.children.empty()) {
    const size_t i = place(node, entry.hash, entry.item->key());
    if (i < node.entries.size() && node.entries[i].hash == entry.hash &&
        node.entries[i].item->key() == entry.item->key()) {
      node.entries[i].item = std::move(entry.item);
      return false;
    }
    node.entries.insert(node.entries.begin() + static_cast<std::ptrdiff_t>(i), std::move(entry));
    if (node.entries.size() > kMost) right = split(node);
    return true;
  }
  const size_t i = child_for(node, entry.hash, entry.item->key());
  Child split_off;
  const bool added = put(node.children[i].node, entry, split_off);
  if (split_off.node) {
    node.children.insert(node.children.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                         std::move(split_off));
    if (node.children.size() > kMost) right = split(node);
  }
  return added;
}

template <typename T>
void KeyedTree<T>::put(uint64_t hash, Ref<const T> item) {
  if (!root_) root_ = Ref<Node>(new Node);
  Entry entry{hash, std::move(item)};
  Child right;
  if (put(root_, entry, right)) ++size_;
  if (!right.node) return;
  Ref<Node> root(new Node);
  root->children.push_back({0, std::move(root_)});
  root->children.push_back(std::move(right));
  root_ = std::move(root);
}

// Nodes that became small stay so until they are empty: fleets grow more than they shrink.
template <typename T>
void KeyedTree<T>::erase(Ref<Node>& at, uint64_t hash, std::string_view key) {
  Node& node = own(at);
  if (node.children.empty()) {
    node.entries.erase(node.entries.begin() + static_cast<std::ptrdiff_t>(place(node, hash, key)));
    return;
  }
  const size_t i = child_for(node, hash, key);
  Ref<Node>& child = node.children[i].node;
  erase(child, hash, key);
  if (child->entries.empty() && child->children.empty())
    node.children.erase(node.children.begin() + static_cast<std::ptrdiff_t>(i));
}

template <typename T>
void KeyedTree<T>::erase(uint64_t hash, std::string_view key) {
  if (find(hash, key) == nullptr) return;
  erase(root_, hash, key);
  --size_;
  if (size_ == 0) root_ = {};
  while (root_ && root_->children.size() == 1) {
    Ref<Node> only = root_->children.front().node;
    root_ = std::move(only);
  }
}

template <typename T>
KeyedTree<T> KeyedTree<T>::build(std::vector<Entry> sorted) {
  KeyedTree tree;
  tree.size_ = sorted.size();
  if (sorted.empty()) return tree;
  std::vector<Child> level;
  level.reserve(sorted.size() / kBuilt + 1);
  const auto cut = [](auto& from, auto add) {
    for (size_t begin = 0; begin < from.size(); begin += kBuilt) {
      const auto part = std::span(from).subspan(begin, std::min(kBuilt, from.size() - begin));
      add(std::vector(std::make_move_iterator(part.begin()), std::make_move_iterator(part.end())));
    }
  };
  cut(sorted, [&](std::vector<Entry> part) {
    level.push_back({part.front().hash, Ref<Node>(new Node)});
    level.back().node->entries = std::move(part);
  });
  sorted = {};
  while (level.size() > 1) {
    std::vector<Child> above;
    cut(level, [&](std::vector<Child> part) {
      above.push_back({part.front().low, Ref<Node>(new Node)});
      above.back().node->children = std::move(part);
    });
    level = std::move(above);
  }
  tree.root_ = std::move(level.front().node);
  return tree;
}

template class KeyedTree<Row>;
template class KeyedTree<RowKey>;

}  // namespace frameworks
