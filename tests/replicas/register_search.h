// The search for an order of one key's operations.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "history.h"

namespace frameworks {

class RegisterSearch {
 public:
  // `operations` of one key: no refused ones, of unknown end only those that are known to have
  // happened. `revisions`: value → revision, as far as it was seen.
  RegisterSearch(std::vector<const Operation*> operations,
                 const std::map<std::string, int64_t>& revisions);

  // Whether there is an order.
  bool run();
  // After a failed run: the operation that the search could not get past, in its best try.
  [[nodiscard]] const Operation* stuck() const { return stuck_; }

 private:
  // A call or the end of one, in a list in order of time from which what is placed is taken out.
  struct Event {
    int operation = -1;
    bool is_call = false;
    int previous = -1;
    int next = -1;
  };
  struct Placed {
    int event;
    int state_before;
  };
  // Absent is -1; else the operation that wrote the value.
  static constexpr int kAbsent = -1;

  void link_events();
  // The state after; nullopt when the register does not allow it.
  [[nodiscard]] std::optional<int> step(int state, int operation) const;
  void take_out(int call);
  void put_back(int call);
  bool see_first_time(int state);
  bool back(int& event);

  std::vector<const Operation*> operations_;
  std::vector<int64_t> revision_of_;  // by operation, of what it wrote; 0: never seen
  std::vector<int> read_from_;        // by operation: whose value a read saw
  std::vector<Event> events_;         // [0] is the list's head
  std::vector<int> end_of_;           // by operation: its end's event; -1: none

  int state_ = kAbsent;
  int open_ends_ = 0;
  std::vector<Placed> placed_;
  std::vector<uint64_t> done_;  // a bit an operation
  std::unordered_set<std::string> seen_;
  size_t best_ = 0;
  const Operation* stuck_ = nullptr;
};

}  // namespace frameworks
