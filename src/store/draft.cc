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

const Message& spec_of(const Kind& kind, const Message& message) {
  const auto* field = kind.descriptor->FindFieldByName("spec");
  CHECK(field != nullptr);
  return message.GetReflection()->GetMessage(message, field);
}

// The fields that are the store's, as `from` has them.
void keep_store_fields(const pb::Metadata& from, pb::Metadata& to) {
  to.set_uid(from.uid());
  to.set_revision(from.revision());
  to.set_generation(from.generation());
  *to.mutable_create_time() = from.create_time();
  *to.mutable_update_time() = from.update_time();
  if (from.has_delete_time()) {
    *to.mutable_delete_time() = from.delete_time();
  } else {
    to.clear_delete_time();
  }
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

// Whether only the store's own fields differ.
bool same_content(const Resource& a, const Resource& b) {
  const std::unique_ptr<Message> other = copy(b.message());
  keep_store_fields(a.metadata(), b.kind().mutable_metadata(*other));
  return same_bytes(a.message(), *other);
}

}  // namespace

Draft::Touched& Draft::touch(const ResourceKey& key, const Resource* current) {
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
    touched = &touched_.emplace_back(Touched{key, current == nullptr ? Resource() : *current});
    if (touched_.size() == kFew)
      for (size_t i = 0; i < kFew; ++i) places_.emplace(touched_[i].key, i);
  }
  ++touched->writes;
  touched->after = {};
  touched->after_bytes.clear();
  ++writes_;
  return *touched;
}

void Draft::put(Resource resource) {
  const Kind& kind = resource.kind();
  const Row* row = working_.row(kind, resource.metadata().tenant(), resource.name());
  const Resource* current = row == nullptr ? nullptr : &row->resource();
  const ResourceKey key = resource.key();
  const std::shared_ptr<Message> message = take_message(std::move(resource));
  if (seal_ != nullptr && has_sealed_fields(kind))
    seal_fields(*seal_, kind, current == nullptr ? nullptr : &current->message(), *message);
  pb::Metadata& metadata = kind.mutable_metadata(*message);
  std::string was;
  std::string now;
  if (current != nullptr) {
    keep_store_fields(current->metadata(), metadata);
    was = row->has_exact_bytes() ? std::string(row->bytes())
                                 : deterministic_bytes(current->message());
    now = deterministic_bytes(*message);
    if (was == now) return;
  }
  Touched& touched = touch(key, current);
  if (touched.writes == 1) touched.before_bytes = std::move(was);
  if (current == nullptr) {
    if (metadata.uid().empty()) metadata.set_uid(new_uuid());
    metadata.set_generation(1);
    *metadata.mutable_create_time() = timestamp(time_);
    metadata.clear_delete_time();
  } else if (touched.before && touched.before.metadata().uid() == metadata.uid()) {
    // Counted from before the transaction: two writes of one are one change.
    const bool differs =
        touched.before_bytes.empty()
            ? !same_bytes(spec_of(kind, touched.before.message()), spec_of(kind, *message))
            : field_bytes(touched.before_bytes, kSpecField) != field_bytes(now, kSpecField);
    metadata.set_generation(touched.before.metadata().generation() + (differs ? 1 : 0));
  }
  metadata.set_revision(working_.revision() + 1);
  *metadata.mutable_update_time() = timestamp(time_);
  if (metadata.has_delete_time() && metadata.finalizers().empty()) {
    working_.remove(key);
    return;
  }
  touched.after = Resource(kind, message);
  touched.after_bytes =
      now.empty() ? deterministic_bytes(*message) : with_metadata(now, metadata);
  working_.put(touched.after, touched.after_bytes, row);
}

void Draft::remove(const ResourceKey& asked) {
  const Resource* current = working_.find(asked);
  if (current == nullptr) return;
  const ResourceKey key = current->key();  // the kind may have been asked for by another name
  const pb::Metadata& was = current->metadata();
  if (was.finalizers().empty()) {
    touch(key, current);
    working_.remove(key);
    return;
  }
  if (was.has_delete_time()) return;
  Touched& touched = touch(key, current);
  std::unique_ptr<Message> message = copy(current->message());
  pb::Metadata& metadata = current->kind().mutable_metadata(*message);
  *metadata.mutable_delete_time() = timestamp(time_);
  *metadata.mutable_update_time() = timestamp(time_);
  metadata.set_revision(working_.revision() + 1);
  touched.after = Resource(current->kind(), std::move(message));
  working_.put(touched.after);
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

void Draft::replace(const ResourceKey& key, const Resource& with) {
  if (with) {
    working_.put(with);
  } else {
    working_.remove(key);
  }
}

void Draft::finish(const Actor& actor, std::vector<Change>& out) {
  const size_t before = out.size();
  const Revision revision = working_.revision() + 1;
  for (Touched& touched : touched_) {
    const Resource& now = touched.after;
    if (!now && !touched.before) continue;
    if (touched.writes > 1 && now && touched.before &&
        touched.before.metadata().has_delete_time() == now.metadata().has_delete_time() &&
        touched.before.metadata().uid() == now.metadata().uid() &&
        same_content(touched.before, now)) {
      replace(touched.key, touched.before);  // there and back
      continue;
    }
    out.push_back({revision, time_, actor, std::move(touched.key), std::move(touched.before),
                   std::move(touched.after), std::move(touched.before_bytes),
                   std::move(touched.after_bytes)});
  }
  if (out.size() != before) working_.set_revision(revision, time_);
}

void Draft::undo() {
  for (const Touched& touched : touched_) replace(touched.key, touched.before);
}

}  // namespace frameworks
