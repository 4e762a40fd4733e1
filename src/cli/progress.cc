#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/text.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

using namespace std::chrono_literals;

WallTime wall_of(const google::protobuf::Timestamp& time) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::seconds(time.seconds()) + std::chrono::nanoseconds(time.nanos())));
}

std::string clock_text(const google::protobuf::Timestamp& time) {
  return rfc3339(wall_of(time)).substr(11, 8);
}

Colour colour_of(pb::OperationEventResult result) {
  switch (result) {
    case pb::OPERATION_EVENT_RESULT_OK:
      return Colour::kGreen;
    case pb::OPERATION_EVENT_RESULT_CHANGED:
      return Colour::kYellow;
    case pb::OPERATION_EVENT_RESULT_FAILED:
      return Colour::kRed;
    case pb::OPERATION_EVENT_RESULT_SKIPPED:
      return Colour::kGrey;
    default:
      return Colour::kNone;
  }
}

std::string bar(int64_t done, int64_t total) {
  constexpr int64_t kCells = 20;
  const int64_t filled = total <= 0 ? 0 : std::clamp<int64_t>(done * kCells / total, 0, kCells);
  return fmt::format("[{}{}]", std::string(static_cast<size_t>(filled), '#'),
                     std::string(static_cast<size_t>(kCells - filled), '-'));
}

// What the reading thread has got and the showing one has not yet shown.
struct Inbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<pb::OperationEvent> events;
  std::optional<std::string> notice;
  std::optional<Result<pb::OperationStatus>> end;
};

// Reads the stream, and reads on from the last event when the connection breaks.
class Follower {
 public:
  Follower(Context& context, Client& client, std::string operation, Inbox& inbox)
      : context_(context), client_(client), operation_(std::move(operation)), inbox_(inbox) {}

  void run() {
    constexpr auto kPatience = 5min;
    MonoTime lost{};
    while (true) {
      const grpc::Status status = read();
      if (final_) return end(*final_);
      if (context_.stop.stop_requested())
        return end(
            Error(Code::kCancelled,
                  fmt::format("interrupted: the operation goes on; `frameworks operation "
                              "watch {}` follows it, `frameworks operation cancel {}` stops it",
                              operation_, operation_)));
      const Error error = from_grpc(status, client_.server());
      // A server that stops ends the stream, with or without a word.
      const bool away =
          status.ok() || error.code() == Code::kUnavailable || error.code() == Code::kCancelled;
      const MonoTime now = context_.clock.mono();
      if (progressed_ || lost == MonoTime{}) lost = now;
      if (!away || now - lost > kPatience) return end(error);
      notify("the server is away: waiting for it");
      (void)context_.clock.sleep_for(500ms, context_.stop);
    }
  }

 private:
  grpc::Status read() {
    grpc::ClientContext call;
    client_.authorize(call);
    const std::stop_callback interrupt(context_.stop, [&call] { call.TryCancel(); });
    pb::WatchOperationRequest request;
    request.set_operation(operation_);
    request.set_after(last_);
    progressed_ = false;
    const auto stream = client_.operations().Watch(&call, request);
    pb::WatchOperationResponse response;
    while (stream->Read(&response)) {
      progressed_ = true;
      if (response.has_event()) {
        last_ = response.event().sequence();
        const std::lock_guard lock(inbox_.mutex);
        inbox_.events.push_back(response.event());
        inbox_.notice = "";
        inbox_.changed.notify_all();
      }
      if (response.has_final()) final_ = response.final();
    }
    return stream->Finish();
  }

  void notify(std::string notice) {
    const std::lock_guard lock(inbox_.mutex);
    inbox_.notice = std::move(notice);
    inbox_.changed.notify_all();
  }

  void end(Result<pb::OperationStatus> result) {
    const std::lock_guard lock(inbox_.mutex);
    inbox_.end = std::move(result);
    inbox_.changed.notify_all();
  }

  Context& context_;
  Client& client_;
  std::string operation_;
  Inbox& inbox_;
  int64_t last_ = 0;
  bool progressed_ = false;
  std::optional<pb::OperationStatus> final_;
};

// Writes lines that stay, and below them a view that is drawn over.
class Screen {
 public:
  explicit Screen(const Terminal& terminal) : terminal_(terminal) {}
  ~Screen() { clear(); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void keep(const std::string& line) {
    if (line.empty()) return;
    clear();
    terminal_.out << line << "\n";
  }

  void draw(const std::vector<std::string>& lines) {
    clear();
    for (const std::string& line : lines) terminal_.out << line << "\n";
    drawn_ = lines.size();
    terminal_.out.flush();
  }

 private:
  void clear() {
    if (drawn_ > 0) terminal_.out << fmt::format("\x1b[{}A\x1b[J", drawn_);
    drawn_ = 0;
  }

  const Terminal& terminal_;
  size_t drawn_ = 0;
};

std::string step_table_line(const pb::OperationStep& step) {
  std::string took;
  if (step.has_start_time() && step.has_end_time())
    took = human_duration(wall_of(step.end_time()) - wall_of(step.start_time()));
  // Why a step failed is told once, by the operation's error.
  const bool failed = step.state() == pb::OPERATION_STATE_FAILED;
  return fmt::format("  {:<8} {:<12} {:<10} {:>8}  {}", step.layer(), step.name(),
                     word(step.state()), took, failed ? "" : step.message());
}

int conclude(const Terminal& terminal, const std::string& operation,
             const pb::OperationStatus& status) {
  for (const pb::OperationStep& step : status.steps()) {
    std::string line = step_table_line(step);
    line.erase(line.find_last_not_of(' ') + 1);
    terminal.out << terminal.paint(colour_of_state(word(step.state())), line) << "\n";
  }
  std::string took;
  if (status.has_start_time() && status.has_end_time())
    took = human_duration(wall_of(status.end_time()) - wall_of(status.start_time()));
  if (status.state() == pb::OPERATION_STATE_SUCCEEDED) {
    terminal.out << terminal.paint(Colour::kGreen, fmt::format("done in {}", took));
    if (status.attempts() > 1)
      terminal.out << fmt::format(" (taken up {} times by a server)", status.attempts());
    terminal.out << "\n";
    return kExitOk;
  }
  const bool cancelled = status.state() == pb::OPERATION_STATE_CANCELLED;
  terminal.err << terminal.paint(Colour::kRed,
                                 fmt::format("operation {} {} after {}{}{}", operation,
                                             cancelled ? "was cancelled" : "failed", took,
                                             status.error().empty() ? "" : ": ", status.error()))
               << "\n`frameworks apply` takes it up again; `frameworks operation watch "
               << operation << "` tells what happened\n";
  return kExitOperationFailed;
}

// Shows what comes in until the end; on a terminal also how the time passes meanwhile.
Result<pb::OperationStatus> show(Context& context, Inbox& inbox, const std::string& operation) {
  const Terminal& terminal = context.terminal;
  const bool live = terminal.live && !context.json;
  ProgressView view(operation);
  Screen screen(terminal);
  std::string notice;
  while (true) {
    std::deque<pb::OperationEvent> events;
    std::optional<Result<pb::OperationStatus>> end;
    {
      std::unique_lock lock(inbox.mutex);
      const auto news = [&] { return !inbox.events.empty() || inbox.end || inbox.notice; };
      if (live)
        inbox.changed.wait_for(lock, 200ms, news);
      else
        inbox.changed.wait(lock, news);
      events.swap(inbox.events);
      if (inbox.notice && *inbox.notice != notice && !inbox.notice->empty() && !live)
        terminal.err << *inbox.notice << "\n";
      if (inbox.notice) notice = *std::exchange(inbox.notice, std::nullopt);
      end = inbox.end;
    }
    for (const pb::OperationEvent& event : events) {
      const std::string kept = view.take(event);
      if (context.json)
        terminal.out << json_text(to_json(event)) << "\n";
      else if (live)
        screen.keep(terminal.paint(colour_of(event.result()), kept));
      else if (event.result() != pb::OPERATION_EVENT_RESULT_SKIPPED)
        terminal.out << event_line(event, terminal) << "\n";
    }
    terminal.out.flush();
    if (end) return *end;
    view.set_notice(notice);
    if (live) screen.draw(view.lines(terminal, context.clock.wall()));
  }
}

}  // namespace

std::string ProgressView::take(const pb::OperationEvent& event) {
  const bool step_event = event.object().empty();
  if (step_event && event.result() == pb::OPERATION_EVENT_RESULT_STARTED) {
    layer_ = event.layer();
    step_ = event.message();
    step_start_ = wall_of(event.time());
    done_ = 0;
    total_ = 0;
    tasks_.clear();
  }
  if (event.total() > 0) {
    done_ = event.done();
    total_ = event.total();
  }
  const bool only_counts =
      event.message().empty() && event.result() == pb::OPERATION_EVENT_RESULT_UNSPECIFIED;
  if (!step_event && !only_counts)
    tasks_[event.object()] = {event.layer(), event.message(), event.result(),
                              wall_of(event.time())};
  const bool ended = step_event && event.result() != pb::OPERATION_EVENT_RESULT_STARTED &&
                     event.result() != pb::OPERATION_EVENT_RESULT_UNSPECIFIED;
  if (!ended && event.result() != pb::OPERATION_EVENT_RESULT_FAILED) return {};
  std::string out = fmt::format("{:<8} {}{}{}", event.layer(), event.object(),
                                event.object().empty() ? "" : ": ", event.message());
  if (step_event && event.elapsed_ms() > 0)
    out += fmt::format("  {}", human_duration(std::chrono::milliseconds(event.elapsed_ms())));
  return out;
}

std::vector<std::string> ProgressView::lines(const Terminal& terminal, WallTime now) const {
  std::vector<std::string> out;
  const auto width = static_cast<size_t>(std::max(terminal.width, 20)) - 1;
  std::string head = fmt::format("{}  {}", operation_, step_.empty() ? "starting" : step_);
  if (total_ > 0) head += fmt::format("  {} {} of {}", bar(done_, total_), done_, total_);
  if (step_start_ != WallTime{})
    head += "  " + human_duration(std::max(now - step_start_, WallTime::duration{}));
  out.push_back(terminal.paint(Colour::kBold, clip(head, width)));
  if (!notice_.empty()) out.push_back(terminal.paint(Colour::kYellow, clip(notice_, width)));
  size_t names = 0;
  for (const auto& [name, task] : tasks_) names = std::max(names, display_width(name));
  // Those that changed last stand for the rest when the window is small.
  std::vector<const std::pair<const std::string, Task>*> shown;
  for (const auto& each : tasks_) shown.push_back(&each);
  const auto room = static_cast<size_t>(std::max(terminal.height - 4, 3));
  if (shown.size() > room) {
    std::stable_sort(shown.begin(), shown.end(), [](const auto* a, const auto* b) {
      return a->second.since > b->second.since;
    });
    shown.resize(room);
    std::sort(shown.begin(), shown.end(),
              [](const auto* a, const auto* b) { return a->first < b->first; });
  }
  for (const auto* each : shown) {
    const Task& task = each->second;
    const bool running = task.result == pb::OPERATION_EVENT_RESULT_STARTED;
    const std::string state = running
                                  ? human_duration(std::max(now - task.since, WallTime::duration{}))
                                  : word(task.result);
    out.push_back(terminal.paint(
        colour_of(task.result),
        clip(fmt::format("  {}  {}  {}", pad(each->first, names), task.message, state), width)));
  }
  if (tasks_.size() > shown.size())
    out.push_back(fmt::format("  and {} more", tasks_.size() - shown.size()));
  return out;
}

std::string event_line(const pb::OperationEvent& event, const Terminal& terminal) {
  std::string out =
      fmt::format("{} {:<8} {}{}{}", clock_text(event.time()), event.layer(), event.object(),
                  event.object().empty() || event.message().empty() ? "" : ": ", event.message());
  if (event.result() != pb::OPERATION_EVENT_RESULT_UNSPECIFIED &&
      event.result() != pb::OPERATION_EVENT_RESULT_STARTED)
    out += fmt::format(" ({})", word(event.result()));
  if (event.total() > 0) out += fmt::format(" {} of {}", event.done(), event.total());
  if (event.elapsed_ms() > 0)
    out += fmt::format(", {}", human_duration(std::chrono::milliseconds(event.elapsed_ms())));
  return terminal.paint(colour_of(event.result()), out);
}

Result<int> follow_operation(Context& context, Client& client, const std::string& operation) {
  context.on_interrupt();
  Inbox inbox;
  std::jthread reader([&] { Follower(context, client, operation, inbox).run(); });
  ASSIGN_OR_RETURN(const pb::OperationStatus status, show(context, inbox, operation));
  if (context.json) {
    context.terminal.out << json_text(to_json(status)) << "\n";
    return status.state() == pb::OPERATION_STATE_SUCCEEDED ? kExitOk : kExitOperationFailed;
  }
  return conclude(context.terminal, operation, status);
}

}  // namespace frameworks::cli
