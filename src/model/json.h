// Messages as JSON, written and read by their descriptors; nothing here knows a kind.
//
// Fields are lowerCamelCase; those with their default value are left out. Enumerations are words
// ("central", "customer-managed"), durations "5s", timestamps RFC 3339, 64-bit numbers JSON
// numbers, bytes base64. A kind's message is {apiVersion: "frameworks/v1", kind, metadata, spec,
// status}; an Any that holds a kind is that object itself; Struct and Value are what they hold.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

inline constexpr std::string_view kApiVersion = "frameworks/v1";
// What stands for the value of a field with rules.secret.
inline constexpr std::string_view kSecretMask = "(secret)";

// kShow is for the one answer that hands a secret out (a new join token), and for nothing else.
enum class Secrets { kMask, kShow };

boost::json::value to_json(const Message& message, Secrets secrets = Secrets::kMask);

// One field of a message, as it is in there.
struct FieldJson {
  std::optional<boost::json::value> value;  // nothing where the field is not set
  bool masked = false;                      // a secret is left out of it
};
FieldJson field_json(const Message& message, const google::protobuf::FieldDescriptor& field,
                     Secrets secrets);

// Fills `message`, which must be empty. Unknown fields are errors; every violation is told at once,
// with its field path. What could be read is read even when something else is wrong.
Status from_json(const boost::json::value& json, Message& message);

// Text to a value: bounded in depth; the message tells line and column.
Result<boost::json::value> parse_json(std::string_view text);
// One line.
std::string json_text(const boost::json::value& json);
// Indented by two.
std::string pretty_json(const boost::json::value& json);
// The same as YAML, which documents.h reads back to the same message.
std::string yaml_text(const boost::json::value& json);

}  // namespace frameworks
