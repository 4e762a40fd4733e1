#include "server/rest_answer.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "model/json.h"
#include "model/pack.h"
#include "server/rest_problem.h"

namespace frameworks {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 499:
      return "Client Closed Request";
    default:
      break;
  }
  // Nobody reads the phrase; the problem document says more.
  return status < 500 ? "Refused" : "Failed";
}

void append_number(std::string& out, size_t number) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, end);
}

bool is_empty(const RestAnswer& answer) { return answer.status == 304 || answer.status == 204; }

}  // namespace

void write_head(const RestAnswer& answer, size_t body_size, std::string_view date, bool keep_alive,
                std::string& out) {
  out.reserve(out.size() + body_size + answer.headers.size() + 320);
  out += "HTTP/1.1 ";
  append_number(out, static_cast<size_t>(answer.status));
  out += ' ';
  out += reason_of(answer.status);
  out += "\r\nDate: ";
  out += date;
  if (!is_empty(answer)) {
    out += "\r\nContent-Type: ";
    out += answer.own_type.empty() ? answer.type : std::string_view(answer.own_type);
    out += "\r\nContent-Length: ";
    append_number(out, body_size);
  }
  out += "\r\nX-Content-Type-Options: nosniff\r\n";
  if (answer.version > 0) {
    out += "ETag: \"";
    append_number(out, static_cast<size_t>(answer.version));
    out += "\"\r\nCache-Control: no-cache\r\n";
  } else if (answer.headers.empty()) {
    out += "Cache-Control: no-store\r\n";
  }
  out += answer.headers;
  if (!keep_alive) out += "Connection: close\r\n";
  out += "\r\n";
}

void write_answer(const RestAnswer& answer, std::string_view date, bool keep_alive, bool head_only,
                  std::string& out) {
  write_head(answer, answer.body.size(), date, keep_alive, out);
  if (!is_empty(answer) && !head_only) out += answer.body;
}

RestAnswer problem_answer(const Error& error) {
  RestAnswer answer{http_status(error.code()), "application/problem+json",
                    json_text(problem(error)), "Cache-Control: no-store\r\n",
                    static_cast<int>(error.code())};
  if (answer.status == 401) answer.headers += "WWW-Authenticate: Bearer\r\n";
  if (answer.status == 429 || answer.status == 503) answer.headers += "Retry-After: 1\r\n";
  return answer;
}

RestAnswer problem_answer(std::string_view type, std::string_view detail) {
  const auto document = problem(type, detail);
  return {find_problem(type)->status, "application/problem+json", json_text(document),
          "Cache-Control: no-store\r\n", static_cast<int>(Code::kInvalidArgument)};
}

int64_t version_of(const RestRoute& route, const Message& response) {
  if (!route.tagged) return 0;
  const auto& reflection = *response.GetReflection();
  const auto* descriptor = response.GetDescriptor();
  if (const auto* resource = descriptor->FindFieldByName("resource")) {
    // A resource's own revision: the rest of the fleet may be newer.
    const auto unpacked = unpack(
        static_cast<const google::protobuf::Any&>(reflection.GetMessage(response, resource)));
    return unpacked ? unpacked->metadata().revision() : 0;
  }
  const auto* revision = descriptor->FindFieldByName("revision");
  return revision == nullptr ? 0 : reflection.GetInt64(response, revision);
}

std::string body_of(const RestRoute& route, const Message& message) {
  return json_text(to_json(message, route.shows_secret ? Secrets::kShow : Secrets::kMask));
}

std::string media_type_of(const RestRoute& route, const Message& message) {
  return message.GetReflection()->GetString(message, route.media_type);
}

std::string document_of(const RestRoute& route, const Message& message) {
  return message.GetReflection()->GetString(message, route.document);
}

std::string event_of(const RestRoute& route, const Message& message) {
  int64_t id = 0;
  const Message* at = &message;
  for (const auto* field : route.event_id) {
    const auto& reflection = *at->GetReflection();
    if (field->message_type() == nullptr)
      id = reflection.GetInt64(*at, field);
    else
      at = &reflection.GetMessage(*at, field);
  }
  // Without an id the client's last one stays: from there it continues.
  const std::string data = body_of(route, message);
  return id > 0 ? fmt::format("id: {}\ndata: {}\n\n", id, data) : fmt::format("data: {}\n\n", data);
}

void append_event(const ReadyAnswer& ready, std::string& out) {
  if (ready.revision > 0) {
    out += "id: ";
    append_number(out, static_cast<size_t>(ready.revision));
    out += '\n';
  }
  out += "data: ";
  for (const Piece& piece : ready.json) out += *piece;
  out += "\n\n";
}

std::string named_event(std::string_view name, std::string_view data) {
  return fmt::format("event: {}\ndata: {}\n\n", name, data);
}

}  // namespace frameworks
