#include "server/event_forms.h"

#include "frameworks/v1/fleet_api.pb.h"
#include "model/json.h"
#include "server/public_form.h"

namespace frameworks {
namespace {

Piece make(const Resource& resource, ReplyStream::Form form) {
  pb::WatchEvent event;
  *event.mutable_resource() = public_form(resource);
  if (form == ReplyStream::Form::kProto) return piece_of(event.SerializeAsString());
  std::string text = json_text(to_json(event));
  return piece_of(text.substr(1));  // without the opening brace
}

}  // namespace

Piece EventForms::form(const Resource& resource, ReplyStream::Form form) {
  const auto message = resource.share<Message>();
  const size_t place = (reinterpret_cast<uintptr_t>(message.get()) >> 4) % kKept;
  const auto piece_in = [form](Entry& entry) -> Piece& {
    return form == ReplyStream::Form::kProto ? entry.proto : entry.json;
  };
  Piece found = entries_.with([&](auto& entries) {
    Entry& entry = entries[place];
    return entry.message == message ? piece_in(entry) : nullptr;
  });
  if (found != nullptr) return found;
  found = make(resource, form);
  if (found->size() > kMaxBytes) return found;
  Entry old;  // goes after the lock
  entries_.with([&](auto& entries) {
    Entry& entry = entries[place];
    if (entry.message != message) {
      old = std::move(entry);
      entry = Entry{message, nullptr, nullptr};
    }
    piece_in(entry) = found;
  });
  return found;
}

}  // namespace frameworks
