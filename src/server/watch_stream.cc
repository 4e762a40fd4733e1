#include "server/watch_stream.h"

#include <fmt/format.h>

#include <deque>
#include <set>

#include "model/json.h"
#include "runtime/access/visibility.h"
#include "server/filter.h"

namespace frameworks {
namespace {

constexpr size_t kBatch = 256;

class WatchStream final : public ReplyStream {
 public:
  // `bound_to`: the tenant that the caller is bound to.
  WatchStream(Store& store, std::shared_ptr<EventForms> forms, std::string bound_to,
              SnapshotPtr first, std::vector<const Kind*> kinds,
              std::string tenant, Filter filter, std::unique_ptr<Subscription> subscription)
      : store_(store),
        forms_(std::move(forms)),
        bound_to_(std::move(bound_to)),
        first_(std::move(first)),
        kinds_(std::move(kinds)),
        tenant_(std::move(tenant)),
        filter_(std::move(filter)),
        subscription_(std::move(subscription)) {
    for (const Kind* kind : kinds_) wanted_.insert(kind->name);
  }

  Result<State> next(Message&) override {
    if (first_ != nullptr && next_present()) return State::kReady;
    while (ready_.empty()) {
      ASSIGN_OR_RETURN(const auto changes, subscription_->next(kBatch));
      if (changes.empty()) {
        if (synced_) return State::kWait;
        return sync();
      }
      RETURN_IF_ERROR(queue(changes));
    }
    current_ = std::move(ready_.front());
    ready_.pop_front();
    return State::kReady;
  }

  Ready ready(Form form) override {
    pb::WatchEvent head;
    head.set_type(current_.type);
    head.set_revision(current_.revision);
    auto answer = std::make_shared<ReadyAnswer>();
    answer->revision = current_.revision;
    auto& pieces = form == Form::kProto ? answer->proto : answer->json;
    if (form == Form::kProto) {
      pieces.push_back(piece_of(head.SerializeAsString()));
    } else {
      std::string text = json_text(to_json(head));
      if (current_.resource) text.back() = ',';  // the resource goes on from here
      pieces.push_back(piece_of(std::move(text)));
    }
    if (current_.resource) pieces.push_back(forms_->form(current_.resource, form));
    current_ = {};
    return answer;
  }

 private:
  struct Event {
    pb::WatchEventType type = pb::WATCH_EVENT_TYPE_UNSPECIFIED;
    Revision revision = 0;
    Resource resource;  // empty: the mark that all was told
  };

  State sync() {
    synced_ = true;
    current_ = {pb::WATCH_EVENT_TYPE_SYNCED, revision_, {}};
    return State::kReady;
  }

  // The resources that were there at the start, a kind at a time; then the mark that ends them.
  bool next_present() {
    while (at_ == present_.size()) {
      if (kind_ == kinds_.size()) {
        revision_ = first_->revision();
        first_.reset();
        present_.clear();
        sync();
        return true;
      }
      const Kind& kind = *kinds_[kind_++];
      const Visibility visibility(*first_, bound_to_);
      if (tenant_.empty())
        present_ = visibility.list(kind);
      else if (kind.tenant_owned)
        present_ = first_->find_by(kind, "tenant", tenant_);
      else
        present_.clear();
      for (Resource& resource : present_) resource = visibility.shown(resource);
      std::erase_if(present_, [&](const Resource& resource) {
        return !visibility.sees(resource) || !filter_.matches(resource.message());
      });
      at_ = 0;
    }
    // Continuing in the midst of the beginning is not possible: it starts again from 0.
    current_ = {pb::WATCH_EVENT_TYPE_PUT, 0, present_[at_++]};
    return true;
  }

  // Only the last event of a transaction carries its revision: continuing from an earlier one
  // repeats the transaction rather than losing its rest.
  Status queue(const std::vector<Change>& changes) {
    const SnapshotPtr now = store_.snapshot();
    const Visibility visibility(*now, bound_to_);
    for (const Change& change : changes) {
      const bool unknown = !bound_to_.empty() && !change.after && !change.before;
      if (unknown || visibility.depends_on(change.before, change.after))
        return Error(Code::kOutOfRange,
                     "what you may see of the fleet has changed: start the watch again from 0");
      if (change.revision != revision_ && !ready_.empty()) ready_.back().revision = last_;
      revision_ = change.revision;
      if (!wanted_.contains(change.key.kind) || !concerns(change)) continue;
      if (!visibility.sees(change.after ? change.after : change.before)) continue;
      last_ = change.revision;
      // What no longer matches is gone, to whom only sees what matches.
      const bool is_put = change.after && filter_.matches(change.after.message());
      ready_.push_back({is_put ? pb::WATCH_EVENT_TYPE_PUT : pb::WATCH_EVENT_TYPE_DELETE,
                        change.revision - 1, visibility.shown(subject(change))});
    }
    if (!ready_.empty()) ready_.back().revision = last_;
    return {};
  }

  // Changes that the log tells have no `before`: then it may have matched, and a deletion of what
  // the watcher never saw is harmless.
  bool concerns(const Change& change) const {
    if (!tenant_.empty() && change.key.tenant != tenant_) return false;
    if (filter_.empty() || (change.after && filter_.matches(change.after.message()))) return true;
    return !change.before || filter_.matches(change.before.message());
  }

  static Resource subject(const Change& change) {
    if (change.after) return change.after;
    if (change.before) return change.before;
    const Kind& kind = *find_kind(change.key.kind);
    std::shared_ptr<Message> message = kind.make();
    kind.mutable_metadata(*message).set_name(change.key.name);
    kind.mutable_metadata(*message).set_tenant(change.key.tenant);
    return Resource(kind, message);
  }

  Store& store_;
  const std::shared_ptr<EventForms> forms_;
  const std::string bound_to_;  // empty: the whole fleet
  SnapshotPtr first_;           // until its resources were told
  std::vector<const Kind*> kinds_;
  std::set<std::string> wanted_;
  std::string tenant_;  // empty: any
  Filter filter_;
  std::unique_ptr<Subscription> subscription_;
  std::vector<Resource> present_;
  size_t kind_ = 0;
  size_t at_ = 0;
  Event current_;  // that ready() tells
  std::deque<Event> ready_;
  Revision revision_ = 0;  // of the transaction told last
  Revision last_ = 0;      // of the event queued last
  bool synced_ = false;
};

}  // namespace

Result<std::unique_ptr<ReplyStream>> open_watch(Store& store,
                                                const std::shared_ptr<EventForms>& forms,
                                                const std::string& tenant,
                                                const pb::WatchRequest& request, Poke poke) {
  std::vector<const Kind*> kinds;
  for (const std::string& name : request.kinds()) {
    const Kind* kind = find_kind(name);
    if (kind == nullptr)
      return Error(Code::kInvalidArgument, fmt::format("unknown kind \"{}\"", name));
    kinds.push_back(kind);
  }
  if (kinds.empty())
    for (const Kind& kind : all_kinds()) kinds.push_back(&kind);
  ASSIGN_OR_RETURN(Filter filter, Filter::parse(request.filter(), kinds));
  SnapshotPtr first = request.from_revision() == 0 ? store.snapshot() : nullptr;
  const Revision from = first != nullptr ? first->revision() : request.from_revision();
  ASSIGN_OR_RETURN(auto subscription, store.subscribe(from, std::move(poke)));
  return std::unique_ptr<ReplyStream>(
      std::make_unique<WatchStream>(store, forms, tenant, std::move(first), std::move(kinds),
                                    request.tenant(), std::move(filter), std::move(subscription)));
}

}  // namespace frameworks
