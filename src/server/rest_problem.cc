#include "server/rest_problem.h"

#include <algorithm>

#include "model/json.h"
#include "server/grpc_status.h"

namespace frameworks {
namespace {

namespace json = boost::json;

json::string text(std::string_view value) { return json::string(value.data(), value.size()); }

// "not-found" → "Not found"
std::string title_of(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', ' ');
  out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

json::object document(const ProblemType& type, std::string_view detail) {
  std::string code(type.name);
  std::replace(code.begin(), code.end(), '-', '_');
  return {{"type", "/v1/problems/" + std::string(type.name)},
          {"title", title_of(type.name)},
          {"status", type.status},
          {"detail", text(detail)},
          {"code", code}};
}

}  // namespace

const std::vector<ProblemType>& problem_types() {
  static const std::vector<ProblemType> kTypes = {
      // Of methods, named as gRPC's codes are.
      {"invalid-argument", 400, "The request is wrong; \"violations\" names every field at once."},
      {"unauthenticated", 401, "No token, or one that is unknown, expired or revoked."},
      {"permission-denied", 403, "The caller's role does not suffice."},
      {"not-found", 404, "There is no such thing, or none that the caller may see."},
      {"already-exists", 409, "Something of this name exists."},
      {"aborted", 409, "What the request was based on has changed: read again, then try again."},
      {"failed-precondition", 409, "The fleet is not in the state that this needs."},
      {"out-of-range", 410, "The revision is no longer retained, or not yet known: start again."},
      {"resource-exhausted", 429, "A limit is reached; try again after \"Retry-After\" seconds."},
      {"cancelled", 499, "The caller went away."},
      {"internal", 500, "The server has failed; its log says why."},
      {"unknown", 500, "The server has failed; its log says why."},
      {"data-loss", 500, "Something stored cannot be read; the server's log says what."},
      {"unimplemented", 501, "This server does not serve the method."},
      {"unavailable", 503, "Try again after \"Retry-After\" seconds."},
      {"deadline-exceeded", 504, "What the server waited for took too long."},
      // Of HTTP.
      {"malformed-request", 400, "Not a request of HTTP/1.1."},
      {"method-not-allowed", 405, "The path is served for the methods that \"Allow\" lists."},
      {"not-acceptable", 406, "The answer is application/json, or text/event-stream for streams."},
      {"precondition-failed", 412, "The revision in \"If-Match\" is no longer the newest."},
      {"content-too-large", 413, "The body is larger than the server takes."},
      {"unsupported-media-type", 415, "Bodies are application/json."},
      {"head-too-large", 431, "Request line and headers are larger than the server takes."},
      {"not-implemented", 501, "A part of HTTP that the server does not speak."},
      {"version-not-supported", 505, "The server speaks HTTP/1.1."},
  };
  return kTypes;
}

const ProblemType* find_problem(std::string_view name) {
  const auto& types = problem_types();
  const auto at = std::find_if(types.begin(), types.end(),
                               [&](const ProblemType& type) { return type.name == name; });
  return at == types.end() ? nullptr : &*at;
}

const ProblemType& problem_of(Code code) {
  std::string name(code_name(code));
  std::replace(name.begin(), name.end(), '_', '-');
  const ProblemType* type = find_problem(name);
  return type != nullptr ? *type : *find_problem("unknown");
}

int http_status(Code code) { return problem_of(code).status; }

json::value problem(const Error& error) {
  json::object out = document(problem_of(error.code()), error.message());
  if (!error.violations().empty())
    out["violations"] = to_json(to_proto(error.violations())).as_object()["violations"];
  return out;
}

json::value problem(std::string_view type, std::string_view detail) {
  const ProblemType* known = find_problem(type);
  CHECK(known != nullptr);
  return document(*known, detail);
}

}  // namespace frameworks
