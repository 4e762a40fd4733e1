// Which method of the API table a REST request means. Pure.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api.h"
#include "server/metrics.h"

namespace frameworks {

// A method with a route, and what its messages' fields mean to HTTP.
struct RestRoute {
  using Field = google::protobuf::FieldDescriptor;

  const Method* method = nullptr;
  std::vector<std::string> segments;    // "{name}" for a variable
  std::vector<const Field*> variables;  // by segment; null: a literal
  // Of the request: `if_none_match` (If-None-Match), `if_revision` (If-Match), and the field from
  // which a stream continues (Last-Event-ID).
  const Field* if_none_match = nullptr;
  const Field* if_revision = nullptr;
  const Field* resume = nullptr;
  // Of the response: where an event's id is: a field, or a field within one.
  std::vector<const Field*> event_id;
  // The request or the response has a secret: a token that is made, an ID token, an invite's code.
  bool has_secret = false;
  // The response hands a secret out, the one time that it is shown.
  bool shows_secret = false;
  // The response carries a version of what it shows: `revision` of a context, or of the resource.
  bool tagged = false;
  // The response is a document of another form: its bytes are the body, and the field beside them
  // says of which media type. Null: it is JSON.
  const Field* document = nullptr;
  const Field* media_type = nullptr;
  CallSeries* calls = nullptr;
};

class RestRoutes {
 public:
  // Takes every method with a route. CHECKs that no two routes collide.
  RestRoutes(const Api& api, Metrics& metrics);
  RestRoutes(const RestRoutes&) = delete;
  RestRoutes& operator=(const RestRoutes&) = delete;

  static constexpr size_t kMaxSegments = 8;
  struct Match {
    // Null: no such path, or, when `allow` is set, none for this verb.
    const RestRoute* route = nullptr;
    std::string allow;                                      // "GET, HEAD, OPTIONS"
    std::array<std::string_view, kMaxSegments> segments{};  // of the path, not decoded
  };
  // `path` without the query. HEAD finds what GET does.
  [[nodiscard]] Match match(std::string_view verb, std::string_view path) const;
  // The verbs of a path, as in the header Allow; empty: no such path.
  [[nodiscard]] std::string allow(std::string_view path) const;
  [[nodiscard]] const std::vector<RestRoute>& routes() const { return routes_; }

 private:
  using Routes = std::vector<const RestRoute*>;
  struct Split;
  static Split split_path(std::string_view path);
  [[nodiscard]] const Routes& routes_of(const Split& path) const;

  std::vector<RestRoute> routes_;  // literal paths before those with variables
  // The same by their number of segments and their second one, which is a literal in all.
  std::array<std::vector<std::pair<std::string, Routes>>, kMaxSegments + 1> by_size_;
};

}  // namespace frameworks
