// A fuzz target: a decoder of foreign bytes, and what must hold whatever they are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace frameworks {

struct FuzzTarget {
  std::string name;  // of its folder in corpus/
  // Dies (CHECK, or a sanitizer) when something does not hold.
  void (*run)(std::string_view bytes);
};

// In the order of their names.
const std::vector<FuzzTarget>& fuzz_targets();

// The targets' own files.
void add_access_targets(std::vector<FuzzTarget>& out);
void add_agent_targets(std::vector<FuzzTarget>& out);
void add_http_targets(std::vector<FuzzTarget>& out);
void add_model_targets(std::vector<FuzzTarget>& out);
void add_openid_targets(std::vector<FuzzTarget>& out);
void add_probe_targets(std::vector<FuzzTarget>& out);
void add_store_targets(std::vector<FuzzTarget>& out);
void add_text_targets(std::vector<FuzzTarget>& out);

// Cuts a first byte off, as a choice; 0 when there is none.
inline unsigned take_choice(std::string_view& bytes) {
  if (bytes.empty()) return 0;
  const auto out = static_cast<unsigned char>(bytes.front());
  bytes.remove_prefix(1);
  return out;
}

}  // namespace frameworks
