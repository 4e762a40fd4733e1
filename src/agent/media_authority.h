// The node's own HTTP endpoint, on loopback: media servers ask here who may publish and
// who may watch.
//
//   POST /v1/publish          nginx-rtmp's on_publish form; 200 allow, 403 refuse
//   POST /v1/publish-update   on_update of a running stream or viewer; 200 go on, 403 end it
//   POST /v1/publish-done     on_publish_done; 200
//   POST /v1/play             on_play: somebody wants to watch; 200 allow, 403 refuse
//   POST /v1/play-done        on_play_done; 200
//   GET  /v1/watch            nginx's auth_request for a playlist: X-Stream is TENANT+STREAM, X-Viewer
//                             tells viewers apart; 204 allow, 403 refuse
//   PUT  /v1/checks/<instance>/<check>   a service tells how it is (passive_checks.h); 200, 400,
//   404 GET  /v1/status           the agent's state as JSON
//
// Answers from memory, with or without the server. One thread; requests, connections and time are
// bounded, so that nobody on the node can hold it up.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/passive_checks.h"
#include "agent/tenancy.h"
#include "base/error.h"

namespace frameworks {

class MediaAuthority {
 public:
  // `listen` is "address:port" (port 0: any). kUnavailable when it is taken. `status` returns JSON
  // and is called on the authority's thread, as `passive` is; null: services tell nothing.
  static Result<std::unique_ptr<MediaAuthority>> start(const std::string& listen, Tenancy& tenancy,
                                                       std::function<std::string()> status,
                                                       PassiveChecks* passive = nullptr);
  virtual ~MediaAuthority() = default;  // stops and joins
  [[nodiscard]] virtual int port() const = 0;
};

}  // namespace frameworks
