// Messages as bytes: google.protobuf.Any of a kind's message on the wire, and bytes to compare.
#pragma once

#include <google/protobuf/any.pb.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

google::protobuf::Any pack(const Resource& resource);

// kInvalidArgument when the type is not a kind or the bytes are not of its message.
Result<Resource> unpack(const google::protobuf::Any& any);

// Equal messages give equal bytes: maps serialise in any order unless told otherwise.
std::string deterministic_bytes(const Message& message);
bool same_bytes(const Message& a, const Message& b);

// The fields of every kind's message.
inline constexpr uint32_t kMetadataField = 1;
inline constexpr uint32_t kSpecField = 2;
inline constexpr uint32_t kStatusField = 3;
// The value of the message's field in deterministic_bytes(); nothing when it is not there.
std::string_view field_bytes(std::string_view message, uint32_t field);
// Whether the field is there, empty or not.
bool has_field(std::string_view message, uint32_t field);
// What the store sets in the metadata of a resource, but for the revision and the time of the last
// change, as it lies in the deterministic_bytes() of its message.
struct StoreFields {
  std::string_view uid;
  int64_t generation = 0;
  std::string_view create_time;  // a google.protobuf.Timestamp
  std::optional<std::string_view> delete_time;
};
StoreFields store_fields(std::string_view message);
// Whether the deterministic_bytes() of two resources' messages differ at most in fields that the
// store sets.
bool same_but_store_fields(std::string_view a, std::string_view b);
// The bytes of a resource's message with another metadata.
std::string with_metadata(std::string_view message, const pb::Metadata& metadata);

}  // namespace frameworks
