#include "server/rest_routes.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

bool has_secret(const Descriptor& message) {
  for (int i = 0; i < message.field_count(); ++i)
    if (message.field(i)->options().GetExtension(pb::rules).secret()) return true;
  return false;
}

size_t variables_of(const RestRoute& route) {
  return static_cast<size_t>(std::count_if(route.variables.begin(), route.variables.end(),
                                           [](const auto* field) { return field != nullptr; }));
}

// A stream's events carry the place from which another stream may continue.
void find_resume(RestRoute& route, const Descriptor& request, const Descriptor& response) {
  route.resume = request.FindFieldByName("from_revision");
  if (route.resume == nullptr) route.resume = request.FindFieldByName("after");
  if (const auto* revision = response.FindFieldByName("revision")) route.event_id = {revision};
  if (const auto* event = response.FindFieldByName("event"))
    if (event->message_type() != nullptr)
      if (const auto* sequence = event->message_type()->FindFieldByName("sequence"))
        route.event_id = {event, sequence};
}

void find_document(RestRoute& route, const Descriptor& response) {
  const auto* body = response.FindFieldByName("body");
  if (body == nullptr || body->type() != FieldDescriptor::TYPE_BYTES) return;
  route.document = body;
  route.media_type = response.FindFieldByName("content_type");
  CHECK(route.media_type != nullptr);
}

RestRoute route_of(const Method& method, Metrics& metrics) {
  RestRoute route;
  route.method = &method;
  const Descriptor& request = *method.descriptor->input_type();
  const Descriptor& response = *method.descriptor->output_type();
  std::string path = method.http.path();
  route.segments = split(std::string_view(path).substr(1), '/');
  for (const std::string& segment : route.segments) {
    const bool variable = segment.starts_with('{') && segment.ends_with('}');
    route.variables.push_back(
        variable ? request.FindFieldByName(segment.substr(1, segment.size() - 2)) : nullptr);
    CHECK(!variable || (route.variables.back() != nullptr &&
                        (route.variables.back()->type() == FieldDescriptor::TYPE_STRING ||
                         route.variables.back()->type() == FieldDescriptor::TYPE_ENUM)));
  }
  CHECK(route.segments.size() <= RestRoutes::kMaxSegments);
  route.if_none_match = request.FindFieldByName("if_none_match");
  route.if_revision = request.FindFieldByName("if_revision");
  if (method.stream) find_resume(route, request, response);
  route.has_secret = has_secret(request) || has_secret(response);
  const auto* token = response.FindFieldByName("token");
  route.shows_secret = token != nullptr && token->options().GetExtension(pb::rules).secret();
  find_document(route, response);
  const auto* resource = response.FindFieldByName("resource");
  route.tagged = method.http.verb() == "GET" && !method.stream &&
                 (route.if_none_match != nullptr || route.document != nullptr ||
                  (resource != nullptr && !resource->is_repeated()));
  route.calls = &metrics.series(method.name, "rest", method.stream != nullptr);
  return route;
}

}  // namespace

struct RestRoutes::Split {
  std::array<std::string_view, kMaxSegments> segments{};
  size_t count = 0;  // 0: no path that could be served

  // The route has as many segments, and the second one.
  [[nodiscard]] bool fits(const RestRoute& route) const {
    for (size_t i = count; i-- > 0;)  // the last ones differ most
      if (route.variables[i] == nullptr ? route.segments[i] != segments[i] : segments[i].empty())
        return false;
    return true;
  }
};

// "/v1/nodes/a" → {"v1", "nodes", "a"}
RestRoutes::Split RestRoutes::split_path(std::string_view path) {
  Split out;
  if (!path.starts_with('/')) return out;
  path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    if (out.count == kMaxSegments) return {};
    out.segments[out.count++] = path.substr(0, slash);
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

const RestRoutes::Routes& RestRoutes::routes_of(const Split& path) const {
  static const Routes kNone;
  for (const auto& [second, routes] : by_size_[path.count])
    if (second == path.segments[1]) return routes;
  return kNone;
}

RestRoutes::RestRoutes(const Api& api, Metrics& metrics) {
  for (const auto& method : api.methods()) {
    if (method->http.path().empty()) continue;
    RestRoute route = route_of(*method, metrics);
    for (const RestRoute& other : routes_)
      CHECK(other.segments != route.segments || other.method->http.verb() != method->http.verb());
    routes_.push_back(std::move(route));
  }
  std::stable_sort(routes_.begin(), routes_.end(), [](const RestRoute& a, const RestRoute& b) {
    return variables_of(a) < variables_of(b);
  });
  for (const RestRoute& route : routes_) {
    CHECK(route.segments.size() >= 2 && route.variables[1] == nullptr);
    auto& same_size = by_size_[route.segments.size()];
    auto at = std::find_if(same_size.begin(), same_size.end(),
                           [&](const auto& each) { return each.first == route.segments[1]; });
    if (at == same_size.end()) at = same_size.insert(at, {route.segments[1], {}});
    at->second.push_back(&route);
  }
}

RestRoutes::Match RestRoutes::match(std::string_view verb, std::string_view path) const {
  const Split split = split_path(path);
  const std::string_view wanted = verb == "HEAD" ? "GET" : verb;
  for (const RestRoute* route : routes_of(split))
    if (route->method->http.verb() == wanted && split.fits(*route))
      return {route, {}, split.segments};
  return {nullptr, allow(path), {}};
}

std::string RestRoutes::allow(std::string_view path) const {
  const Split split = split_path(path);
  std::set<std::string> verbs;
  for (const RestRoute* route : routes_of(split))
    if (split.fits(*route)) verbs.insert(route->method->http.verb());
  if (verbs.empty()) return {};
  if (verbs.contains("GET")) verbs.insert("HEAD");
  verbs.insert("OPTIONS");
  std::string out;
  for (const std::string& verb : verbs) out += (out.empty() ? "" : ", ") + verb;
  return out;
}

}  // namespace frameworks
