// Options that commands about tenants and grants share: limits, features, levels, times.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "frameworks/v1/tenant.pb.h"

namespace frameworks::cli {

namespace pb = ::frameworks::v1;

// --limit NAME=NUMBER, as often as wanted.
void add_limit_option(CLI::App& app, std::vector<std::string>& values);
// Sets each limit that is named; a number of 0 takes it away. kInvalidArgument names those there
// are.
Status read_limits(const std::vector<std::string>& values, pb::Limits& limits);

// --feature NAME=VALUE: true, false, a number, or else a string; an empty value takes it away.
void add_feature_option(CLI::App& app, std::vector<std::string>& values);
Status read_features(const std::vector<std::string>& values,
                     google::protobuf::Map<std::string, google::protobuf::Value>& features);

// --level use, operate or own.
void add_level_option(CLI::App& app, std::string& level);
pb::GrantLevel read_level(const std::string& level);

// "24h" from now on, or a time as in 2027-01-31T12:00:00Z.
Result<google::protobuf::Timestamp> read_time(const std::string& text, WallTime now);

}  // namespace frameworks::cli
