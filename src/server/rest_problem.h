// Errors as REST tells them: problem documents (RFC 9457) with types of their own. Pure.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace frameworks {

// One type of problem. Its URI is "/v1/problems/<name>", which answers with the explanation.
struct ProblemType {
  std::string_view name;  // "not-found"
  int status = 0;
  std::string_view help;  // what it means and what to do
};
const std::vector<ProblemType>& problem_types();
// nullptr when there is none.
const ProblemType* find_problem(std::string_view name);

// The type of an error of a method.
const ProblemType& problem_of(Code code);
// The HTTP status of an error's code.
int http_status(Code code);

// {"type", "title", "status", "detail", "code", "violations"}
boost::json::value problem(const Error& error);
// Of the transport itself; CHECKs that the type exists.
boost::json::value problem(std::string_view type, std::string_view detail);

}  // namespace frameworks
