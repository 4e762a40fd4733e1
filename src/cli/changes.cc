#include "cli/changes.h"

#include <fmt/format.h>

#include <map>

#include "base/text.h"
#include "cli/resources.h"
#include "model/diff.h"
#include "model/json.h"
#include "model/pack.h"

namespace frameworks::cli {
namespace {

using namespace std::chrono_literals;

// What differs in the columns that `get` shows: "HEALTH healthy -> down, REASON ...".
std::string column_changes(const Resource& before, const Resource& after) {
  std::string out;
  for (const Column& column : after.kind().columns) {
    const std::string then = column.text(before.message());
    const std::string now = column.text(after.message());
    if (then == now) continue;
    out += fmt::format("{}{} {} -> {}", out.empty() ? "" : ", ", column.title,
                       then.empty() ? "-" : then, now.empty() ? "-" : now);
  }
  for (const pb::FieldChange& change : diff(&before.message(), &after.message())) {
    if (!out.empty()) break;  // the columns tell enough
    out =
        fmt::format("{} {} -> {}", change.field(), change.before().empty() ? "-" : change.before(),
                    change.after().empty() ? "-" : change.after());
  }
  return out;
}

class ChangeView {
 public:
  ChangeView(Context& context, const std::vector<const Kind*>& kinds, std::string tenant)
      : context_(context), kinds_(kinds), tenant_(std::move(tenant)) {}

  // After an interruption that lost history, what was known is forgotten.
  void restart() {
    known_.clear();
    synced_ = false;
  }

  Status take(const pb::WatchEvent& event) {
    if (event.type() == pb::WATCH_EVENT_TYPE_SYNCED) {
      if (!std::exchange(synced_, true) && !context_.json) print_known(event.revision());
      context_.terminal.out.flush();
      return {};
    }
    ASSIGN_OR_RETURN(const Resource resource, unpack(event.resource()));
    if (!tenant_.empty() && resource.metadata().tenant() != tenant_) return {};
    if (context_.json) {
      context_.terminal.out << json_text(to_json(event)) << "\n";
    } else if (synced_) {
      print(event, resource);
    }
    if (event.type() == pb::WATCH_EVENT_TYPE_DELETE)
      known_.erase(resource.key());
    else
      known_[resource.key()] = resource;
    if (synced_) context_.terminal.out.flush();
    return {};
  }

 private:
  void print_known(int64_t revision) {
    const Terminal& terminal = context_.terminal;
    if (kinds_.size() == 1) {
      std::vector<Resource> resources;
      for (const auto& [key, resource] : known_) resources.push_back(resource);
      make_table(*kinds_.front(), resources, context_.clock.wall()).print(terminal);
    }
    terminal.out << terminal.paint(Colour::kGrey,
                                   fmt::format("{} resources at revision {}; changes follow",
                                               known_.size(), revision))
                 << "\n";
  }

  void print(const pb::WatchEvent& event, const Resource& resource) {
    const Terminal& terminal = context_.terminal;
    const auto found = known_.find(resource.key());
    std::string what = "changed";
    Colour colour = Colour::kYellow;
    std::string detail;
    if (event.type() == pb::WATCH_EVENT_TYPE_DELETE) {
      what = "deleted";
      colour = Colour::kRed;
    } else if (found == known_.end()) {
      what = "created";
      colour = Colour::kGreen;
    } else {
      detail = column_changes(found->second, resource);
    }
    terminal.out << terminal.paint(Colour::kGrey, rfc3339(context_.clock.wall()).substr(11, 12))
                 << "  r" << event.revision() << "  " << terminal.paint(colour, pad(what, 7))
                 << "  " << resource.key().text() << (detail.empty() ? "" : "  " + detail) << "\n";
  }

  Context& context_;
  std::vector<const Kind*> kinds_;
  std::string tenant_;
  std::map<ResourceKey, Resource> known_;
  bool synced_ = false;
};

}  // namespace

Result<int> watch_changes(Context& context, const std::vector<std::string>& words,
                          const std::string& tenant) {
  std::vector<const Kind*> kinds;
  pb::WatchRequest request;
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const Kind* const kind, kind_from_word(word));
    kinds.push_back(kind);
    request.add_kinds(kind->name);
  }
  ASSIGN_OR_RETURN(const auto client, context.connect());
  context.on_interrupt();
  ChangeView view(context, kinds, tenant);
  bool seen = false;
  while (true) {
    grpc::ClientContext call;
    client->authorize(call);
    const std::stop_callback interrupt(context.stop, [&call] { call.TryCancel(); });
    const auto stream = client->fleet().Watch(&call, request);
    pb::WatchEvent event;
    while (stream->Read(&event)) {
      RETURN_IF_ERROR(view.take(event));
      // A snapshot that is told from revision 0 has no place to go on from before its end.
      if (event.type() == pb::WATCH_EVENT_TYPE_SYNCED || seen)
        request.set_from_revision(event.revision());
      if (event.type() == pb::WATCH_EVENT_TYPE_SYNCED) seen = true;
    }
    const grpc::Status status = stream->Finish();
    if (context.stop.stop_requested()) return kExitInterrupted;
    const Error error = from_grpc(status, client->server());
    if (error.code() == Code::kOutOfRange) {
      request.set_from_revision(0);
      seen = false;
      view.restart();
      context.terminal.err << "too far behind to go on: starting again from what there is now\n";
      continue;
    }
    if (!seen || (!status.ok() && !is_retryable(error.code()))) return error;
    context.terminal.err << "the server is away: waiting for it\n";
    do {
      if (!context.clock.sleep_for(1s, context.stop)) return kExitInterrupted;
    } while (!client->call(client->fleet(), &pb::Fleet::StubInterface::Status, pb::StatusRequest(),
                           std::chrono::seconds(5)));
  }
}

}  // namespace frameworks::cli
