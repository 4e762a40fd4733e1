// What differs between two versions of a resource, as bytes that are small enough to keep for ever
// and have no secret in them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frameworks/v1/fleet_api.pb.h"
#include "model/kind.h"

namespace frameworks {

// Messages of the kind that hold only the fields that differ: spec, status, and of the metadata
// labels, annotations, uid, finalizers and delete_time. Lists are there as a whole, maps with the
// entries that differ. A secret reads "(secret)", and on the other side another text if it changed.
struct Delta {
  std::string before;
  std::string after;
  bool status_only = false;
  // What differs in status had more than kDeltaStatusBytes and was left out.
  bool status_left_out = false;
};
inline constexpr size_t kDeltaStatusBytes = 1'024;

// One of the two may be empty: created, deleted. Of what is deleted the status is left out.
Delta delta(const Resource& before, const Resource& after);
// The same of their deterministic_bytes(), where one may be nothing. Kinds with secrets and unknown
// fields have to be parsed for it.
Delta delta(const Kind& kind, std::optional<std::string_view> before,
            std::optional<std::string_view> after);
// The same, always the long way: for kinds with secrets, and for tests.
Delta delta_by_reflection(const Resource& before, const Resource& after);

// The fields of a delta, as diff() gives them, those of status and the named metadata too.
// kDataLoss: the bytes are no message of the kind.
Result<std::vector<pb::FieldChange>> diff(const Kind& kind, std::string_view before,
                                          std::string_view after);

}  // namespace frameworks
