// Fleet/Watch: every resource as it is, then changes, in order and without gaps.
#pragma once

#include <memory>

#include "frameworks/v1/fleet_api.pb.h"
#include "server/api.h"
#include "server/event_forms.h"
#include "store/store.h"

namespace frameworks {

// `forms` is what all watches share. `tenant`: that the caller is bound to, empty for one of the whole fleet; such a caller is told
// only of what it sees, and kOutOfRange when what it sees has changed.
// Holds one batch of changes at most; what a slow reader does not fetch stays in the store's
// window, and beyond it the stream ends with kOutOfRange.
Result<std::unique_ptr<ReplyStream>> open_watch(Store& store,
                                                const std::shared_ptr<EventForms>& forms,
                                                const std::string& tenant,
                                                const pb::WatchRequest& request, Poke poke);

}  // namespace frameworks
