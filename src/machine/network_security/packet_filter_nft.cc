#include <fmt/format.h>

#include "base/process.h"
#include "machine/network_security/packet_filter.h"

namespace frameworks {
namespace {

constexpr std::chrono::seconds kTimeout{10};
// The mark is the comment of an empty chain: rules cannot be marked without being part of the
// filter.
constexpr std::string_view kMarkChain = "frameworks_mark";

// "…/dev/stdin:3:1-4: Error: syntax error, …" → from "Error" on, first line.
std::string reason(const std::string& err) {
  const size_t begin = err.find("Error: ");
  const std::string_view text =
      std::string_view(err).substr(begin == std::string::npos ? 0 : begin + 7);
  return std::string(text.substr(0, text.find('\n')));
}

// What nft would do to other tables is not ours to do.
bool touches_only_our_table(const std::string& ruleset) {
  size_t depth = 0;
  for (size_t begin = 0; begin < ruleset.size();) {
    const size_t end = std::min(ruleset.find('\n', begin), ruleset.size());
    const std::string_view line = std::string_view(ruleset).substr(begin, end - begin);
    if (depth == 0 && !line.empty() && line != "table inet frameworks" &&
        line != "delete table inet frameworks" && line != "table inet frameworks {")
      return false;
    for (const char c : line) {
      if (c == '{') ++depth;
      if (c == '}' && depth > 0) --depth;
    }
    begin = end + 1;
  }
  return depth == 0;
}

class NftPacketFilter final : public PacketFilter {
 public:
  Result<std::optional<std::string>> mark() override {
    ASSIGN_OR_RETURN(
        const Output output,
        run({.argv = {"nft", "list", "chain", "inet", "frameworks", std::string(kMarkChain)},
             .timeout = kTimeout}));
    if (output.exit_code != 0) {
      if (output.err.find("No such file or directory") != std::string::npos)
        return std::optional<std::string>();
      return Error(Code::kUnavailable, fmt::format("nft: {}", reason(output.err)));
    }
    const size_t begin = output.out.find("comment \"");
    if (begin == std::string::npos) return std::optional<std::string>();
    const size_t end = output.out.find('"', begin + 9);
    return std::optional<std::string>(output.out.substr(begin + 9, end - begin - 9));
  }

  Status replace(const std::string& ruleset, const std::string& mark) override {
    if (!touches_only_our_table(ruleset))
      return Error(Code::kInvalidArgument, "ruleset changes more than the table inet frameworks");
    const std::string transaction = fmt::format(
        "{}\nadd chain inet frameworks {} {{ comment \"{}\"; }}\n", ruleset, kMarkChain, mark);
    // All of it or nothing: nft loads a file as one transaction.
    ASSIGN_OR_RETURN(const Output applied,
                     run({.argv = {"nft", "-f", "-"}, .input = transaction, .timeout = kTimeout}));
    if (applied.exit_code == 0) return {};
    // A check tells a malformed ruleset from a kernel that refuses.
    ASSIGN_OR_RETURN(
        const Output checked,
        run({.argv = {"nft", "-c", "-f", "-"}, .input = transaction, .timeout = kTimeout}));
    if (checked.exit_code != 0)
      return Error(Code::kInvalidArgument, fmt::format("ruleset: {}", reason(checked.err)));
    return Error(Code::kUnavailable, fmt::format("nft: {}", reason(applied.err)));
  }
};

}  // namespace

std::unique_ptr<PacketFilter> make_nft_packet_filter() {
  return std::make_unique<NftPacketFilter>();
}

}  // namespace frameworks
