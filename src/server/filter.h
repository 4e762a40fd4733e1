// Which resources a list or a watch is about:
// "spec.tier=edge,status.health.state!=down,labels.rack". Pure.
//
// Terms joined by commas, all of which must hold: "path=value", "path!=value", "path" (is set),
// "!path" (is not). Paths and values as in JSON; "labels.<name>" is a label. A list has a value
// when one of its items is that value. Secrets read "(secret)": a filter cannot guess them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

class Filter {
 public:
  static constexpr size_t kMaxBytes = 4096;
  static constexpr size_t kMaxTerms = 32;

  // kInvalidArgument, in `field` of the request, for text that is no filter, and for a path that
  // none of the kinds has.
  static Result<Filter> parse(std::string_view text, const std::vector<const Kind*>& kinds);
  [[nodiscard]] bool matches(const Message& resource) const;
  [[nodiscard]] bool empty() const { return terms_.empty(); }

 private:
  struct Term {
    std::vector<std::string> path;
    bool compares = false;  // with `value`; else: is it set
    bool wanted = true;     // "=" and set; false: "!=" and not set
    std::string value;
  };
  static Result<Term> parse_term(std::string_view text);
  std::vector<Term> terms_;
};

}  // namespace frameworks
