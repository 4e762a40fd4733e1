// An answer that exists as bytes already, shared by all who ask for it.
//
// It is made of pieces, so that what many answers have in common is kept once: the answer is the
// pieces one after the other. Knows neither who made it nor how it is sent.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace frameworks {

using Piece = std::shared_ptr<const std::string>;

inline Piece piece_of(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

struct ReadyAnswer {
  std::vector<Piece> proto;   // the response, serialized
  std::vector<Piece> json;    // the same as REST's body
  int64_t revision = 0;       // REST's ETag, an event's id; 0: none
  bool not_modified = false;  // what the caller has is still good (REST: 304 without a body)
};
using Ready = std::shared_ptr<const ReadyAnswer>;

inline std::string joined(const std::vector<Piece>& pieces) {
  size_t size = 0;
  for (const Piece& piece : pieces) size += piece->size();
  std::string out;
  out.reserve(size);
  for (const Piece& piece : pieces) out += *piece;
  return out;
}

}  // namespace frameworks
