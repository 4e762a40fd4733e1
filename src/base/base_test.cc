#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <atomic>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/process.h"
#include "base/text.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

TEST(Process, FeedsInputAndCollectsBothOutputs) {
  auto output = run({.argv = {"sh", "-c", "cat; echo oops >&2; exit 3"}, .input = "hello"});
  ASSERT_TRUE(output) << output.error().text();
  EXPECT_EQ(output->out, "hello");
  EXPECT_EQ(output->err, "oops\n");
  EXPECT_EQ(output->exit_code, 3);
}

TEST(Process, HandsOverLinesAsTheyCome) {
  std::vector<std::string> lines;
  auto output = run_lines({.argv = {"printf", "a\\nb\\nc"}},
                          [&](std::string_view line) { lines.emplace_back(line); });
  ASSERT_TRUE(output);
  EXPECT_EQ(lines, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(Process, KillsWhatTakesTooLongWithItsChildren) {
  auto output = run({.argv = {"sh", "-c", "sleep 60 & sleep 60"}, .timeout = 100ms});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::kDeadlineExceeded);
}

TEST(Process, KillsWhatTakesTooLongAlsoWhenItsOutputsAreClosed) {
  auto output = run({.argv = {"sh", "-c", "exec >&- 2>&-; exec sleep 60"}, .timeout = 100ms});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::kDeadlineExceeded);
}

TEST(Process, FeedsAlsoWhoSaysNothing) {
  auto output = run({.argv = {"sh", "-c", "exec >&- 2>&-; exit $(cat | wc -c)"}, .input = "hello"});
  ASSERT_TRUE(output) << output.error().text();
  EXPECT_EQ(output->exit_code, 5);
}

TEST(Process, StopsWhenAsked) {
  std::stop_source source;
  std::jthread later([&] { source.request_stop(); });
  auto output = run({.argv = {"sleep", "60"}, .stop = source.get_token()});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::kCancelled);
}

TEST(Process, HandsDownNoDescriptorsButTheStandardOnes) {
  const Fd held(dup(0));
  auto output = run({.argv = {"sh", "-c", "ls /proc/self/fd | wc -l"}});
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, "4\n");  // the three, and the folder that ls reads
}

TEST(Process, SaysWhatDoesNotExist) {
  auto output = run({.argv = {"/no/such/program"}});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::kNotFound);
}

TEST(Ip, RoundTripsAndCounts) {
  EXPECT_EQ(IpAddress::parse("10.0.0.255")->plus(1).text(), "10.0.1.0");
  EXPECT_EQ(IpAddress::parse("fd00::ffff")->plus(1).text(), "fd00::1:0");
  EXPECT_FALSE(IpAddress::parse("10.0.0"));
  EXPECT_EQ(Cidr::parse("10.0.0.0/33").error().message(),
            "10.0.0.0/33: prefix too long (at most 32)");
  EXPECT_TRUE(Cidr::parse("10.0.0.1/24")->has_host_bits());
  EXPECT_TRUE(Cidr::parse("10.0.0.0/8")->overlaps(*Cidr::parse("10.2.0.0/16")));
  EXPECT_FALSE(Cidr::parse("10.1.0.0/16")->overlaps(*Cidr::parse("10.2.0.0/16")));
}

TEST(Text, EncodingsRoundTrip) {
  rc::check([](const std::string& bytes) {
    RC_ASSERT(*hex_decode(hex_encode(bytes)) == bytes);
    RC_ASSERT(*base64_decode(base64_encode(bytes)) == bytes);
  });
}

TEST(Text, DurationsRoundTrip) {
  rc::check([] {
    const Duration duration(*rc::gen::inRange<int64_t>(0, 1'000'000'000'000));
    RC_ASSERT(*parse_duration(format_duration(duration)) == duration);
  });
  EXPECT_EQ(*parse_duration("1.5s"), 1500ms);
  EXPECT_FALSE(parse_duration("5"));
  EXPECT_FALSE(parse_duration("1e300s"));
}

TEST(File, ReplacesWholeFilesWithTheGivenMode) {
  auto folder = TemporaryDirectory::make();
  ASSERT_TRUE(folder);
  const auto path = folder->path() / "x";
  ASSERT_TRUE(write_file(path, "one", 0600));
  ASSERT_TRUE(write_file(path, "two", 0600));
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(static_cast<int>(std::filesystem::status(path).permissions()), 0600);
  EXPECT_EQ(read_file(folder->path() / "y").error().code(), Code::kNotFound);
}

TEST(Clock, ManualSleepersWakeWhenTimeHasCome) {
  ManualClock clock;
  std::atomic<bool> woken = false;
  std::jthread sleeper([&](std::stop_token stop) { woken = clock.sleep_for(5s, stop); });
  while (!woken) clock.advance(1s);
  EXPECT_GE(clock.mono().time_since_epoch(), 5s);
}

}  // namespace
}  // namespace frameworks
