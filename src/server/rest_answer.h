// Responses as bytes. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "server/rest_connection.h"

namespace frameworks {

// Appends the response; a 304 and an answer to HEAD have no body.
void write_answer(const RestAnswer& answer, std::string_view date, bool keep_alive, bool head_only,
                  std::string& out);
// The same without the body, which follows in pieces.
void write_head(const RestAnswer& answer, size_t body_size, std::string_view date, bool keep_alive,
                std::string& out);
// A problem document; `retry` adds Retry-After where trying again may help.
RestAnswer problem_answer(const Error& error);
RestAnswer problem_answer(std::string_view type, std::string_view detail);

// The version of what a response shows, where it has one: 0 none.
int64_t version_of(const RestRoute& route, const Message& response);
// The message as REST's body.
std::string body_of(const RestRoute& route, const Message& message);
// Of a document: its media type, and its bytes.
std::string media_type_of(const RestRoute& route, const Message& message);
std::string document_of(const RestRoute& route, const Message& message);
// One server-sent event with a message of a stream.
std::string event_of(const RestRoute& route, const Message& message);
// The same of bytes that exist already.
void append_event(const ReadyAnswer& ready, std::string& out);
// A named one: "error", "end".
std::string named_event(std::string_view name, std::string_view data);

}  // namespace frameworks
