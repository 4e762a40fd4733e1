#include "runtime/sessions/peer_reports.h"

#include <gtest/gtest.h>

namespace frameworks {
namespace {

PeerReport report() {
  return {.planned = 9,
          .waiting = {{"edge-1", "mesh", 7, ""},
                      {"edge-2", "mesh", 0, ""},
                      {"edge-3", "firewall", 5, "nft: \"no such table\"\n"}}};
}

TEST(PeerReport, ItsTextReadsBackToTheSame) {
  const auto read = PeerReport::parse(report().text());
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->planned, 9);
  EXPECT_FALSE(read->truncated);
  ASSERT_EQ(read->waiting.size(), 3u);
  EXPECT_EQ(read->waiting[2].node, "edge-3");
  EXPECT_EQ(read->waiting[2].plane, "firewall");
  EXPECT_EQ(read->waiting[2].since, 5);
  EXPECT_EQ(read->waiting[2].error, "nft: \"no such table\"\n");
}

TEST(PeerReport, WhatIsNoneIsRefused) {
  for (const char* text :
       {"", "[]", "{}", R"({"planned":"1","waiting":[]})", R"({"planned":1,"waiting":{}})",
        R"({"planned":1,"waiting":[["a"]]})", R"({"planned":1,"waiting":[["a","b","c","d"]]})"})
    EXPECT_FALSE(PeerReport::parse(text)) << text;
}

TEST(PeerReports, ANodeLacksWhatItsServerSaysAndTheRestHasArrived) {
  std::string text = report().text();
  PeerReports peers(
      [&](const std::string& server) { return server == "core-2" ? text : std::string(); });
  EXPECT_FALSE(peers.lacks("core-2", "edge-9", "mesh", 9)) << "nobody says that it waits";
  EXPECT_TRUE(peers.lacks("core-2", "edge-1", "mesh", 7));
  EXPECT_FALSE(peers.lacks("core-2", "edge-1", "mesh", 6)) << "what it lacks came later";
  EXPECT_FALSE(peers.lacks("core-2", "edge-1", "firewall", 9));
  EXPECT_TRUE(peers.lacks("core-2", "edge-2", "mesh", 1)) << "it has not been planned";
  EXPECT_EQ(*peers.lacks("core-2", "edge-3", "firewall", 9), "nft: \"no such table\"\n");
  EXPECT_TRUE(peers.lacks("core-2", "edge-9", "mesh", 10)) << "newer than the report";
  EXPECT_EQ(*peers.lacks("core-3", "edge-9", "mesh", 1), "is not connected");
  EXPECT_EQ(*peers.lacks("", "edge-9", "mesh", 1), "is not connected");
  text = PeerReport{.planned = 12}.text();
  EXPECT_FALSE(peers.lacks("core-2", "edge-1", "mesh", 12)) << "a newer report counts";
  text = PeerReport{.planned = 12, .truncated = true}.text();
  EXPECT_TRUE(peers.lacks("core-2", "edge-9", "mesh", 12)) << "it may be among those left out";
}

}  // namespace
}  // namespace frameworks
