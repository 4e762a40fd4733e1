// REST from the API table: which method a path means, its request from path, query and body, and
// errors as problem documents (RFC 9457). Pure.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/api.h"

namespace frameworks {

class RestRoutes {
 public:
  // Takes every method with a route. CHECKs that no two routes collide.
  explicit RestRoutes(const Api& api);

  struct Match {
    const Method* method = nullptr;
    std::map<std::string, std::string> variables;  // decoded
  };
  // kNotFound for an unknown path; kUnimplemented when the path is served for other verbs only.
  // `path` without the query.
  [[nodiscard]] Result<Match> match(std::string_view verb, std::string_view path) const;

 private:
  struct Route {
    std::vector<std::string> segments;  // "{name}" for a variable
    const Method* method = nullptr;
  };
  std::vector<Route> routes_;
};

// Fills an empty request from the route's variables, the query ("a=1&b=2"; a repeated name makes a
// list) and the JSON body (empty: none). kInvalidArgument with every violation.
Status fill_request(const RestRoutes::Match& match, std::string_view query, std::string_view body,
                    Message& request);

// The HTTP status of an error's code.
int http_status(Code code);
// {"type", "title", "status", "detail", "code", "violations"}
boost::json::value problem(const Error& error);

// Percent-decoding (RFC 3986); `plus` also reads "+" as a space, as in queries.
enum class Plus { kLiteral, kSpace };
Result<std::string> percent_decode(std::string_view text, Plus plus);

}  // namespace frameworks
