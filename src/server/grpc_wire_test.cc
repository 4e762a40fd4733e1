#include "server/grpc_wire.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace frameworks {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string framed(std::string_view message) {
  std::string out;
  append_grpc_prefix(message.size(), out);
  return out + std::string(message);
}

TEST(GrpcWire, ATimeoutHasDigitsAndAUnit) {
  EXPECT_EQ(*parse_grpc_timeout("10S"), seconds(10));
  EXPECT_EQ(*parse_grpc_timeout("500m"), milliseconds(500));
  EXPECT_EQ(*parse_grpc_timeout("0n"), Duration(0));
  EXPECT_EQ(*parse_grpc_timeout("2H"), hours(2));
  // More than a clock holds is long.
  EXPECT_EQ(*parse_grpc_timeout("99999999H"), hours(24 * 3650));
  for (const char* wrong : {"", "S", "10", "123456789S", "-1S", "1x", "1 S", "1.5S"})
    EXPECT_FALSE(parse_grpc_timeout(wrong)) << wrong;
}

TEST(GrpcWire, AMessageIsPercentEncodedWhereItMustBe) {
  EXPECT_EQ(grpc_percent_encode("no such node: \"a\""), "no such node: \"a\"");
  EXPECT_EQ(grpc_percent_encode("100%\n\xc3\xb6"), "100%25%0A%C3%B6");
}

TEST(GrpcWire, MessagesComeWholeHoweverTheBytesAreCut) {
  EXPECT_TRUE(rc::check([](const std::vector<std::string>& messages) {
    std::string bytes;
    for (const std::string& message : messages) bytes += framed(message);
    GrpcMessages reader;
    std::vector<std::string> got;
    size_t at = 0;
    while (at < bytes.size()) {
      const auto size = *rc::gen::inRange<size_t>(1, bytes.size() - at + 1);
      const auto fed =
          reader.feed(std::string_view(bytes).substr(at, size), 1 << 20, [&](std::string_view one) {
            got.emplace_back(one);
            return Status();
          });
      RC_ASSERT(bool(fed));
      at += size;
    }
    RC_ASSERT(got == messages);
    RC_ASSERT(reader.held() == 0u);
  }));
}

TEST(GrpcWire, WhatIsNoMessageOrTooLargeIsRefusedBeforeItIsHeld) {
  const auto take = [](std::string_view) -> Status { return {}; };
  std::string large;
  append_grpc_prefix(1001, large);
  GrpcMessages reader;
  EXPECT_EQ(reader.feed(large, 1000, take).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(GrpcMessages().feed(std::string("\1\0\0\0\0", 5), 1000, take).error().code(),
            Code::kUnimplemented);
  EXPECT_EQ(GrpcMessages().feed("GET /", 1000, take).error().code(), Code::kInternal);
  EXPECT_EQ(reader.held(), 0u);
  const auto stop = [](std::string_view) -> Status { return Error(Code::kAborted, "enough"); };
  EXPECT_EQ(GrpcMessages().feed(framed("a"), 1000, stop).error().code(), Code::kAborted);
}

}  // namespace
}  // namespace frameworks
