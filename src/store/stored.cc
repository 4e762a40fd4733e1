#include "store/stored.h"

#include <fmt/format.h>

#include "model/registry.h"

namespace frameworks {

Result<Resource> parse_resource(std::string_view kind_name, std::string_view name,
                                std::string_view bytes) {
  const Kind* kind = find_kind(kind_name);
  if (kind == nullptr)
    return Error(Code::kFailedPrecondition,
                 fmt::format("kind \"{}\" of \"{}\" is unknown: use the program that wrote it",
                             kind_name, name));
  std::unique_ptr<Message> message = kind->make();
  if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Error(Code::kDataLoss,
                 fmt::format("{}/{}: the stored bytes are broken", kind_name, name));
  return Resource(*kind, std::shared_ptr<const Message>(std::move(message)));
}

}  // namespace frameworks
