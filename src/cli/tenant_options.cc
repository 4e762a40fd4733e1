#include "cli/tenant_options.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <charconv>
#include <cmath>

#include "base/text.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

using google::protobuf::util::TimeUtil;

struct Pair {
  std::string name;
  std::string value;
};

Result<Pair> read_pair(const std::string& text, const char* what) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return Error(Code::kInvalidArgument, fmt::format("{} \"{}\": give NAME=VALUE", what, text));
  return Pair{text.substr(0, equals), text.substr(equals + 1)};
}

template <typename Number>
bool read_number(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::string limit_names() {
  std::string out;
  const auto* type = pb::Limits::descriptor();
  for (int i = 0; i < type->field_count(); ++i)
    out += (out.empty() ? "" : ", ") + type->field(i)->json_name();
  return out;
}

const google::protobuf::FieldDescriptor* limit_named(const std::string& name) {
  const auto* type = pb::Limits::descriptor();
  for (int i = 0; i < type->field_count(); ++i)
    if (type->field(i)->json_name() == name || type->field(i)->name() == name)
      return type->field(i);
  return nullptr;
}

}  // namespace

void add_limit_option(CLI::App& app, std::vector<std::string>& values) {
  app.add_option("--limit", values, "NAME=NUMBER of: " + limit_names() + "; 0: none")
      ->allow_extra_args(false);
}

Status read_limits(const std::vector<std::string>& values, pb::Limits& limits) {
  for (const std::string& text : values) {
    ASSIGN_OR_RETURN(const Pair pair, read_pair(text, "--limit"));
    const auto* field = limit_named(pair.name);
    int64_t number = 0;
    if (field == nullptr)
      return Error(Code::kInvalidArgument,
                   fmt::format("--limit \"{}\": there are {}", text, limit_names()));
    if (!read_number(pair.value, number) || number < 0)
      return Error(Code::kInvalidArgument,
                   fmt::format("--limit \"{}\": give a number, 0 for none", text));
    limits.GetReflection()->SetInt64(&limits, field, number);
  }
  return {};
}

void add_feature_option(CLI::App& app, std::vector<std::string>& values) {
  app.add_option("--feature", values,
                 "NAME=VALUE: true, false, a number or a text; NAME= takes it away")
      ->allow_extra_args(false);
}

Status read_features(const std::vector<std::string>& values,
                     google::protobuf::Map<std::string, google::protobuf::Value>& features) {
  for (const std::string& text : values) {
    ASSIGN_OR_RETURN(const Pair pair, read_pair(text, "--feature"));
    double number = 0;
    if (pair.value.empty())
      features.erase(pair.name);
    else if (pair.value == "true" || pair.value == "false")
      features[pair.name].set_bool_value(pair.value == "true");
    else if (read_number(pair.value, number) && std::isfinite(number))
      features[pair.name].set_number_value(number);
    else
      features[pair.name].set_string_value(pair.value);
  }
  return {};
}

void add_level_option(CLI::App& app, std::string& level) {
  app.add_option("--level", level, "use, operate or own [use]")
      ->check(CLI::IsMember({"use", "operate", "own"}));
}

pb::GrantLevel read_level(const std::string& level) {
  const auto* found = find_enum(*pb::GrantLevel_descriptor(), level);
  return found == nullptr ? pb::GRANT_LEVEL_UNSPECIFIED
                          : static_cast<pb::GrantLevel>(found->number());
}

Result<google::protobuf::Timestamp> read_time(const std::string& text, WallTime now) {
  google::protobuf::Timestamp out;
  if (TimeUtil::FromString(text, &out)) return out;
  const auto duration = parse_duration(text);
  if (!duration)
    return Error(
        Code::kInvalidArgument,
        fmt::format("\"{}\": give a duration as 24h, or a time as 2027-01-31T12:00:00Z", text));
  return TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>((now + *duration).time_since_epoch())
          .count());
}

}  // namespace frameworks::cli
