#include "store/draft.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "base/text.h"
#include "model/pack.h"
#include "model/registry.h"
#include "model/row.h"
#include "store/sealed_fields.h"

namespace frameworks {
namespace {

google::protobuf::Timestamp timestamp(WallTime time) {
  return google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count());
}

std::unique_ptr<Message> copy(const Message& message) {
  std::unique_ptr<Message> out(message.New());
  out->CopyFrom(message);
  return out;
}

// The message for changing: itself where nobody else has it, as when it was made for this put.
std::shared_ptr<Message> take_message(Resource resource) {
  auto message = std::const_pointer_cast<Message>(resource.share<Message>());
  resource = {};
  if (message.use_count() == 1) return message;
  return copy(*message);
}

// The exact bytes of a row, as it has them or made.
class ExactBytes {
 public:
  explicit ExactBytes(const Row& row) : row_(row) {
    if (!row.has_exact_bytes()) made_ = deterministic_bytes(row.peek().message());
  }
  [[nodiscard]] std::string_view get() const {
    return row_.has_exact_bytes() ? row_.bytes() : std::string_view(made_);
  }

 private:
  const Row& row_;
  std::string made_;
};

// Whether only the store's own fields differ, and it is the same resource still.
bool is_same(const Row& a, const Row& b) {
  const ExactBytes left(a);
  const ExactBytes right(b);
  const StoreFields in_left = store_fields(left.get());
  const StoreFields in_right = store_fields(right.get());
  return in_left.uid == in_right.uid &&
         in_left.delete_time.has_value() == in_right.delete_time.has_value() &&
         same_but_store_fields(left.get(), right.get());
}

// What stays of the version before.
void keep_store_fields(const StoreFields& from, pb::Metadata& to) {
  const auto keep_time = [](std::string_view bytes, google::protobuf::Timestamp& time) {
    CHECK(time.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  };
  to.set_uid(from.uid.data(), from.uid.size());
  keep_time(from.create_time, *to.mutable_create_time());
  if (from.delete_time) {
    keep_time(*from.delete_time, *to.mutable_delete_time());
  } else {
    to.clear_delete_time();
  }
}

// Of a change: the row where it has exact bytes, and its message where that is at hand.
void give(RowRef row, Resource& resource, RowRef& out) {
  if (!row) return;
  if (row->is_parsed() || !row->has_exact_bytes()) resource = row->peek();
  if (row->has_exact_bytes()) out = std::move(row);
}

}  // namespace

Draft::Touched& Draft::touch(const ResourceKey& key, const Row* current) {
  Touched* touched = nullptr;
  if (places_.empty()) {
    const auto at = std::find_if(touched_.begin(), touched_.end(),
                                 [&](const Touched& each) { return each.key == key; });
    if (at != touched_.end()) touched = &*at;
  } else if (const auto at = places_.find(key); at != places_.end()) {
    touched = &touched_[at->second];
  }
  if (touched == nullptr) {
    if (!places_.empty()) places_.emplace(key, touched_.size());
    touched = &touched_.emplace_back(
        Touched{key, current == nullptr ? RowRef() : RowRef::share(current)});
    if (touched_.size() == kFew)
      for (size_t i = 0; i < kFew; ++i) places_.emplace(touched_[i].key, i);
  }
  ++touched->writes;
  touched->after = {};
  ++writes_;
  return *touched;
}

void Draft::put(Resource resource) {
  const Kind& kind = resource.kind();
  const Row* current = working_.row(kind, resource.metadata().tenant(), resource.name());
  const ResourceKey key = resource.key();
  const std::shared_ptr<Message> message = take_message(std::move(resource));
  if (seal_ != nullptr && has_sealed_fields(kind))
    seal_fields(*seal_, kind, current == nullptr ? nullptr : &current->resource().message(),
                *message);
  pb::Metadata& metadata = kind.mutable_metadata(*message);
  metadata.set_revision(working_.revision() + 1);
  *metadata.mutable_update_time() = timestamp(time_);
  if (current == nullptr) {
    if (metadata.uid().empty()) metadata.set_uid(new_uuid());
    metadata.set_generation(1);
    *metadata.mutable_create_time() = timestamp(time_);
    metadata.clear_delete_time();
    touch(key, nullptr).after =
        working_.put(Resource(kind, message), deterministic_bytes(*message), nullptr);
    return;
  }
  const ExactBytes was(*current);
  const StoreFields kept = store_fields(was.get());
  keep_store_fields(kept, metadata);
  // Most changes are of the spec.
  metadata.set_generation(kept.generation + 1);
  std::string bytes = deterministic_bytes(*message);
  if (same_but_store_fields(was.get(), bytes)) return;
  Touched& touched = touch(key, current);
  if (metadata.has_delete_time() && metadata.finalizers().empty()) {
    working_.remove(key);
    return;
  }
  int64_t generation = kept.generation;
  if (touched.before) {
    // Counted from before the transaction: two writes of one are one change.
    const ExactBytes before(*touched.before);
    const StoreFields first = store_fields(before.get());
    const bool differs = field_bytes(before.get(), kSpecField) != field_bytes(bytes, kSpecField);
    if (first.uid == kept.uid) generation = first.generation + (differs ? 1 : 0);
  }
  if (generation != metadata.generation()) {
    metadata.set_generation(generation);
    bytes = with_metadata(bytes, metadata);
  }
  touched.after = working_.put(Resource(kind, message), bytes, current);
}

void Draft::remove(const ResourceKey& asked) {
  const Kind* kind = find_kind(asked.kind);
  if (kind == nullptr) return;
  const Row* row = working_.row(*kind, asked.tenant, asked.name);
  if (row == nullptr) return;
  const Resource current = row->peek();
  const ResourceKey key = current.key();  // the kind may have been asked for by another name
  const pb::Metadata& was = current.metadata();
  if (was.finalizers().empty()) {
    touch(key, row);
    working_.remove(key);
    return;
  }
  if (was.has_delete_time()) return;
  Touched& touched = touch(key, row);
  const std::shared_ptr<Message> message = copy(current.message());
  pb::Metadata& metadata = kind->mutable_metadata(*message);
  *metadata.mutable_delete_time() = timestamp(time_);
  *metadata.mutable_update_time() = timestamp(time_);
  metadata.set_revision(working_.revision() + 1);
  touched.after = working_.put(Resource(*kind, message), deterministic_bytes(*message), row);
}

std::vector<ResourceKey> Draft::changed() const {
  std::vector<ResourceKey> out;
  out.reserve(touched_.size());
  for (const Touched& touched : touched_) out.push_back(touched.key);
  return out;
}

Status Draft::derive() {
  if (!derive_ || derived_ == writes_) return {};
  RETURN_IF_ERROR(derive_(*this));
  derived_ = writes_;
  return {};
}

void Draft::finish(const Actor& actor, std::vector<Change>& out) {
  const size_t before = out.size();
  const Revision revision = working_.revision() + 1;
  for (Touched& touched : touched_) {
    if (!touched.after && !touched.before) continue;
    if (touched.writes > 1 && touched.after && touched.before &&
        is_same(*touched.before, *touched.after)) {
      working_.put(touched.before);  // there and back
      continue;
    }
    Change& change =
        out.emplace_back(Change{revision, time_, actor, std::move(touched.key), {}, {}});
    give(std::move(touched.before), change.before, change.before_row);
    give(std::move(touched.after), change.after, change.after_row);
  }
  if (out.size() != before) working_.set_revision(revision, time_);
}

void Draft::undo() {
  for (const Touched& touched : touched_) {
    if (touched.before) {
      working_.put(touched.before);
    } else {
      working_.remove(touched.key);
    }
  }
}

}  // namespace frameworks
