// A method's request from what HTTP carries: path, query, headers and JSON body. Pure.
#pragma once

#include <string>
#include <string_view>

#include "server/http_request.h"
#include "server/rest_routes.h"

namespace frameworks {

// Fills an empty request: the route's variables, the query ("a=1&b=2"; a repeated name makes a
// list), the body (empty: none). kInvalidArgument with every violation, also where something is
// given twice.
Status fill_request(const RestRoutes::Match& match, std::string_view query, std::string_view body,
                    Message& request);

// What headers say of revisions: If-None-Match, If-Match, Last-Event-ID. A tag that is none of ours
// matches nothing.
struct Conditions {
  int64_t if_none_match = 0;  // 0: none
  int64_t if_match = 0;
  bool any_match = false;  // "If-Match: *"
};
Conditions read_conditions(const HttpHead& head);
Status apply_conditions(const HttpHead& head, const Conditions& conditions, const RestRoute& route,
                        Message& request);

// Whether the header Accept (empty: absent) admits this media type.
bool accepts(std::string_view accept, std::string_view type);
// Whether a body of this Content-Type (empty: absent) is JSON.
bool is_json_type(std::string_view content_type);

// Percent-decoding (RFC 3986); kSpace also reads "+" as a space, as in queries.
enum class Plus { kLiteral, kSpace };
Result<std::string> percent_decode(std::string_view text, Plus plus);

}  // namespace frameworks
