// Rules that the kinds' files and the field rules of proto/ share.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "frameworks/v1/options.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/kind.h"

namespace frameworks {

// What is wrong with `value`, as a clause that names it; nothing when it has the form.
std::optional<std::string> format_problem(pb::Format format, std::string_view value);

// metadata.name must be one DNS label: the name becomes part of longer names.
void require_label_name(const pb::Metadata& metadata, Validation& out);

// A placement's lists name nothing twice and no unspecified tier.
void check_placement(const pb::Placement& placement, const std::string& field, Validation& out);

// Limits as the table shows them: "streams 10, viewers 500"; "-" when there is none.
std::string limits_text(const pb::Limits& limits);

// A list as the table shows it: "a, b"; "-" when empty.
template <typename List>
std::string list_text(const List& list) {
  std::string out;
  for (const std::string& item : list) out += (out.empty() ? "" : ", ") + item;
  return out.empty() ? "-" : out;
}

// "edge in eu-west of eu-edge", "2 of edge, disk=ssd"; "everywhere" for the empty placement.
std::string placement_text(const pb::Placement& placement);

}  // namespace frameworks
