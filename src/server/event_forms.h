// Resources as events of a watch carry them, made once and shared by all watchers.
//
// The newest are kept, by the message that they were made of; what a watcher sees in another form
// (without what it may not know) is another message. Bounded. Threadsafe.
#pragma once

#include <array>
#include <memory>

#include "base/locked.h"
#include "base/ready_answer.h"
#include "model/kind.h"
#include "server/api.h"

namespace frameworks {

class EventForms {
 public:
  // The public form of the resource as the field `resource` of a WatchEvent: serialized, or as
  // the member "resource" of its JSON and the closing brace.
  Piece form(const Resource& resource, ReplyStream::Form form);

 private:
  static constexpr size_t kKept = 1024;
  static constexpr size_t kMaxBytes = 64 << 10;  // larger ones are made for each
  struct Entry {
    std::shared_ptr<const Message> message;  // held: no other one gets its address
    Piece proto;
    Piece json;
  };
  Locked<std::array<Entry, kKept>> entries_;
};

}  // namespace frameworks
