// Every fuzz target over its corpus, and over what a seeded generator makes of it: so that what was
// once found stays mended, in every build (release, sanitizers), without libFuzzer. FW_FUZZ_ROUNDS
// says how many inputs a target (default 200), and leaves the last one in $TMPDIR/fuzz-last.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "target.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> corpus_of(const std::string& target) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(fs::path(FW_CORPUS) / target))
    out.push_back(*read_file(entry.path()));
  return out;
}

std::string mutated(std::string text, std::mt19937& random) {
  const auto below = [&](size_t limit) { return random() % std::max<size_t>(limit, 1); };
  for (size_t i = 1 + below(4); i > 0; --i) {
    const size_t at = below(text.size());
    switch (below(4)) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.insert(at, 1, static_cast<char>(random()));
        break;
      case 2:
        text.erase(at, 1 + below(8));
        break;
      default:
        text.insert(at, text.substr(below(text.size()), below(16)));
        break;
    }
  }
  return text;
}

TEST(FuzzCorpus, EveryTargetHasACorpusAndEveryCorpusATarget) {
  std::set<std::string> names;
  for (const FuzzTarget& target : fuzz_targets()) {
    names.insert(target.name);
    EXPECT_FALSE(corpus_of(target.name).empty()) << target.name;
  }
  for (const auto& entry : fs::directory_iterator(FW_CORPUS))
    EXPECT_TRUE(names.contains(entry.path().filename().string())) << entry.path();
}

class Quiet : public ::testing::Environment {
  void SetUp() override { spdlog::set_level(spdlog::level::off); }
};
const auto* const kQuiet = ::testing::AddGlobalTestEnvironment(new Quiet);

TEST(FuzzCorpus, WhatWasFoundStaysMended) {
  for (const FuzzTarget& target : fuzz_targets())
    for (const std::string& bytes : corpus_of(target.name)) target.run(bytes);
}

TEST(FuzzCorpus, NothingBreaksNearTheCorpusEither) {
  const char* wanted = std::getenv("FW_FUZZ_ROUNDS");
  const long rounds = wanted == nullptr ? 200 : std::atol(wanted);
  for (const FuzzTarget& target : fuzz_targets()) {
    const auto corpus = corpus_of(target.name);
    for (long i = 0; i < rounds; ++i) {
      std::mt19937 random(static_cast<unsigned>(i));
      const std::string bytes = mutated(corpus[random() % corpus.size()], random);
      SCOPED_TRACE(target.name);
      // Whoever dies leaves the input behind.
      if (wanted != nullptr) (void)write_file(fs::temp_directory_path() / "fuzz-last", bytes);
      target.run(bytes);
    }
  }
}

}  // namespace
}  // namespace frameworks
