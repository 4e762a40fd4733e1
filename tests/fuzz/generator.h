// Requests as nobody should send them, made from the descriptors. The same seed, the same requests.
#pragma once

#include <google/protobuf/message.h>

#include <boost/json/value.hpp>
#include <random>
#include <string>
#include <vector>

namespace frameworks {

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  // Below `limit`.
  size_t below(size_t limit) { return random_() % std::max<size_t>(limit, 1); }
  bool one_in(size_t count) { return below(count) == 0; }
  template <typename T>
  const T& one_of(const std::vector<T>& list) {
    return list[below(list.size())];
  }

  // Fills some of the fields, at any depth: names that exist, names that do not, values at and
  // beyond every edge.
  void fill(google::protobuf::Message& message, int depth = 0);
  // A text for a field of this name.
  std::string text(const std::string& field, bool utf8);
  // The bytes with a few of them wrong.
  std::string broken(std::string bytes);
  // Some values replaced by others, of other types; members unknown and nested too deep.
  void distort(boost::json::value& value, int depth = 0);
  boost::json::value any_json(int depth);

 private:
  void fill_field(google::protobuf::Message& message,
                  const google::protobuf::FieldDescriptor& field, int depth);
  void fill_any(google::protobuf::Message& message, int depth);
  int64_t integer();
  double real();

  std::mt19937_64 random_;
};

}  // namespace frameworks
