// The methods of the API table as gRPC calls.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/grpc_call.h"
#include "server/grpc_server.h"
#include "server/serving.h"

namespace frameworks {

class GrpcTable final : public GrpcService {
 public:
  GrpcTable(ApiServing serving, const GrpcLimits& limits);
  // Takes every path: one that names no method is answered so.
  bool open(const GrpcHead& head, GrpcStream& stream) override;

 private:
  struct Entry {
    const Method* method = nullptr;
    CallSeries* calls = nullptr;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  class Call;
  struct Work;

  const ApiServing serving_;
  const int max_calls_;
  const int max_streams_;
  // That are open; counted by what may outlive this object for a moment.
  const std::shared_ptr<std::atomic<int>> calls_ = std::make_shared<std::atomic<int>>(0);
  const std::shared_ptr<std::atomic<int>> streams_ = std::make_shared<std::atomic<int>>(0);
  std::unordered_map<std::string, Entry, TextHash, std::equal_to<>> entries_;
};

}  // namespace frameworks
