// The checker against histories written by hand: good ones pass, each way of being wrong is found.
#include "linearizability.h"

#include <gtest/gtest.h>

#include <sstream>

#include "history_builder.h"

namespace frameworks {
namespace {

std::string verdict(const HistoryBuilder& builder) {
  return find_violation(builder.history()).value_or("good");
}
// Of the search alone, which knows no log.
std::string order_of(const HistoryBuilder& builder) {
  return find_bad_order(builder.history()).value_or("good");
}
#define EXPECT_REFUSED(verdict_, reason) \
  EXPECT_NE((verdict_).find(reason), std::string::npos) << (verdict_)

TEST(Linearizability, AnEmptyHistoryIsGood) { EXPECT_EQ(verdict({}), "good"); }

TEST(Linearizability, OneAfterTheOtherIsGood) {
  EXPECT_EQ(verdict(HistoryBuilder()
                        .read({1, 2}, "", 0)
                        .wrote({3, 4}, "a", 1)
                        .read({5, 6}, "a", 1)
                        .swapped({7, 8}, 1, "b", 2)
                        .read({9, 10}, "b", 2)),
            "good");
}

TEST(Linearizability, OverlappingOperationsMayHappenInAnyOrder) {
  EXPECT_EQ(verdict(HistoryBuilder()
                        .wrote({1, 10}, "a", 2)
                        .wrote({2, 9}, "b", 1)
                        .read({3, 4}, "b", 1)
                        .read({11, 12}, "a", 2)),
            "good");
}

TEST(Linearizability, AWriteOfUnknownEndMayHappenAtOnceLaterOrNever) {
  HistoryBuilder at_once;
  at_once.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).unknown().read({5, 6}, "b", 2);
  EXPECT_EQ(verdict(at_once), "good");
  HistoryBuilder later;
  later.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).unknown();
  later.read({5, 6}, "a", 1).read({7, 8}, "b", 2);
  EXPECT_EQ(verdict(later), "good");
  HistoryBuilder never;
  never.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).unknown().read({5, 6}, "a", 1);
  EXPECT_EQ(verdict(never), "good");
}

TEST(Linearizability, AWriteOfUnknownEndDoesNotComeAndGo) {
  HistoryBuilder history;
  history.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).unknown();
  history.read({5, 6}, "b", 2).read({7, 8}, "a", 1);
  EXPECT_REFUSED(order_of(history), "none gets past");
}

TEST(Linearizability, ALostUpdateIsFound) {
  // Both saw revision 1 and both were told that they replaced it.
  HistoryBuilder history;
  history.wrote({1, 2}, "a", 1).swapped({3, 8}, 1, "b", 2).swapped({4, 9}, 1, "c", 3);
  EXPECT_REFUSED(order_of(history), "none gets past");
  EXPECT_REFUSED(verdict(history), "none gets past");
}

TEST(Linearizability, TwoWhoCreatedTheSameAreFound) {
  HistoryBuilder history;
  history.swapped({1, 5}, 0, "a", 1).swapped({2, 6}, 0, "b", 2);
  EXPECT_REFUSED(verdict(history), "none gets past");
}

TEST(Linearizability, AStaleReadIsFound) {
  HistoryBuilder history;
  history.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).read({5, 6}, "a", 1);
  EXPECT_REFUSED(order_of(history), "read of \"a\"");
}

TEST(Linearizability, AReadThatGoesBackIsFoundAlsoWhileTheWriteIsUnderWay) {
  HistoryBuilder history;
  history.wrote({1, 2}, "a", 1).wrote({3, 20}, "b", 2);
  history.read({4, 5}, "b", 2).read({6, 7}, "a", 1);
  EXPECT_REFUSED(order_of(history), "none gets past");
}

TEST(Linearizability, AReadThatPromisesLessMayBeOldButNotWrong) {
  HistoryBuilder old;
  old.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).logged(1, "a").logged(2, "b");
  HistoryBuilder wrong = old;
  EXPECT_EQ(verdict(old.read_as_of({5, 6}, 1, "a", 1)), "good");
  EXPECT_REFUSED(verdict(wrong.read_as_of({5, 6}, 2, "a", 1)), "not as of the revision");
}

TEST(Linearizability, AValueFromNowhereIsFound) {
  EXPECT_REFUSED(verdict(HistoryBuilder().wrote({1, 2}, "a", 1).read({3, 4}, "x", 2)),
                 "a value from nowhere");
  EXPECT_REFUSED(verdict(HistoryBuilder().wrote({1, 2}, "a", 1, "p").read({3, 4}, "a", 1, "q")),
                 "a value from nowhere");
  EXPECT_REFUSED(verdict(HistoryBuilder().wrote({1, 2}, "a", 1).logged(1, "a").logged(2, "x")),
                 "a value from nowhere");
}

TEST(Linearizability, ALostAcknowledgedWriteIsFound) {
  EXPECT_REFUSED(order_of(HistoryBuilder().wrote({1, 2}, "a", 1).read({3, 4}, "", 0)),
                 "none gets past");
  EXPECT_REFUSED(
      verdict(HistoryBuilder().wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).logged(2, "b")),
      "an acknowledged write was lost");
}

TEST(Linearizability, AWriteThatIsAppliedTwiceIsFound) {
  HistoryBuilder read;
  read.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).read({5, 6}, "a", 3);
  EXPECT_REFUSED(verdict(read), "applied twice");
  HistoryBuilder logged;
  logged.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2);
  EXPECT_REFUSED(verdict(logged.logged(1, "a").logged(2, "b").logged(3, "a")), "applied twice");
  // By values alone: the first comes back after the second.
  HistoryBuilder values;
  values.wrote({1, 2}, "a", 0).wrote({3, 4}, "b", 0).read({5, 6}, "b", 0).read({7, 8}, "a", 0);
  EXPECT_REFUSED(order_of(values), "none gets past");
}

TEST(Linearizability, ARefusedWriteThatTookEffectIsFound) {
  HistoryBuilder history;
  history.wrote({1, 2}, "a", 1).refused().read({3, 4}, "a", 1);
  EXPECT_REFUSED(verdict(history), "a refused write took effect");
}

TEST(Linearizability, ASpuriousRefusalIsAllowed) {
  HistoryBuilder history;
  history.wrote({1, 2}, "a", 1).swapped({3, 4}, 1, "b", 0).refused().read({5, 6}, "a", 1);
  EXPECT_EQ(verdict(history), "good");
}

TEST(Linearizability, RevisionsThatGoBackInTimeAreFoundOverAllKeys) {
  EXPECT_REFUSED(verdict(HistoryBuilder().wrote({1, 2}, "a", 2, "p").wrote({3, 4}, "b", 1, "q")),
                 "a later write has an older revision");
  EXPECT_EQ(verdict(HistoryBuilder().wrote({1, 4}, "a", 2, "p").wrote({3, 5}, "b", 1, "q")),
            "good");
  EXPECT_REFUSED(verdict(HistoryBuilder().wrote({1, 2}, "a", 1, "p").wrote({3, 4}, "b", 1, "q")),
                 "one revision for two writes");
}

TEST(Linearizability, ARevisionReadFromTheLogCountsForWritesOfUnknownEnd) {
  HistoryBuilder history;
  history.wrote({5, 6}, "a", 2, "p").wrote({7, 8}, "b", 0, "q").unknown();
  EXPECT_REFUSED(verdict(history.logged(1, "b", "q").logged(2, "a", "p")),
                 "a later write has an older revision");
}

TEST(Linearizability, WatchersMustBeToldAllInOrderOnce) {
  HistoryBuilder base;
  base.wrote({1, 2}, "a", 1).wrote({3, 4}, "b", 2).wrote({5, 6}, "c", 3);
  base.logged(1, "a").logged(2, "b").logged(3, "c");
  const LogEntry a{1, "k", "a"};
  const LogEntry b{2, "k", "b"};
  const LogEntry c{3, "k", "c"};
  const auto told = [&](int64_t from, int64_t to, std::vector<LogEntry> events) {
    HistoryBuilder history = base;
    return verdict(history.watched("w", from, to, std::move(events)));
  };
  EXPECT_EQ(told(0, 3, {a, b, c}), "good");
  EXPECT_EQ(told(1, 2, {b}), "good");
  EXPECT_REFUSED(told(0, 3, {a, c}), "where the log has revision 2");
  EXPECT_REFUSED(told(0, 3, {a, b}), "was not told of revision 3");
  EXPECT_REFUSED(told(0, 3, {a, b, b, c}), "where the log has revision 3");
  EXPECT_REFUSED(told(0, 3, {b, a, c}), "where the log has revision 1");
  EXPECT_REFUSED(told(0, 2, {a, b, c}), "no more");
}

TEST(Linearizability, AHistoryIsReadFromLinesOfJson) {
  std::istringstream good(
      R"({"op":"write","process":1,"key":"k","value":"a","invoked":1,"returned":2,"outcome":"ok","revision":1}
{"op":"cas","process":2,"key":"k","value":"b","expected":1,"invoked":3,"returned":null,"outcome":"unknown"}
{"op":"read","process":1,"key":"k","value":"b","revision":2,"as_of":2,"fresh":false,"invoked":5,"returned":6,"outcome":"ok"}
{"log":true,"revision":1,"key":"k","value":"a"}
{"log":true,"revision":2,"key":"k","value":"b"}
{"watch":"w","from":1}
{"watch":"w","revision":2,"key":"k","value":"b"}
{"watch":"w","to":2}
)");
  const auto history = read_history(good);
  ASSERT_TRUE(history) << history.error().text();
  EXPECT_EQ(history->operations.size(), 3u);
  EXPECT_EQ(history->operations[1].returned, kNever);
  EXPECT_EQ(find_violation(*history).value_or("good"), "good");
  std::istringstream bad("\n{\"op\":\"jump\",\"outcome\":\"ok\"}\n");
  const auto refused = read_history(bad);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "line 2: op \"jump\"");
}

}  // namespace
}  // namespace frameworks
