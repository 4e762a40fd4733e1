// Builds the text of the table "inet frameworks" in nft's language (nft(8)).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace frameworks {

inline constexpr std::string_view kMeshInterface = "fw0";

enum class Verdict { kAccept, kDrop };

// What a packet must look like. Empty parts match everything.
struct Match {
  std::string interface {};
  std::string protocol{};  // "tcp" or "udp"
  std::vector<int> ports{};
};

// Addresses and prefixes of both families.
class AddressList {
 public:
  void add(const Cidr& cidr) { cidrs_.push_back(cidr); }
  [[nodiscard]] bool empty() const { return cidrs_.empty(); }
  // Of one family, as nft writes them (host prefixes without length): sorted, and without those
  // that a wider prefix covers, because nft refuses sets with overlapping intervals.
  [[nodiscard]] std::vector<std::string> texts(bool v4) const;

 private:
  std::vector<Cidr> cidrs_;
};

class Ruleset {
 public:
  // Rules of the input chain, in order, after those that every node has.
  void input(const Match& match, Verdict verdict, const std::string& comment);
  // The same for sources of a list, kept in named sets "<set>_4" and "<set>_6". An empty list makes
  // no rule: nobody matches it.
  void input_from(std::string set, const AddressList& sources, const Match& match, Verdict verdict,
                  const std::string& comment);
  void forward_within_mesh() { forwards_ = true; }
  // The whole transaction: replaces the table, whatever is in it.
  [[nodiscard]] std::string text() const;

 private:
  std::map<std::string, std::vector<std::string>> sets_;  // by name; "_4" or "_6" says the family
  std::vector<std::string> rules_;
  bool forwards_ = false;
};

std::string json_escaped(std::string_view text);

}  // namespace frameworks
