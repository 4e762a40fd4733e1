// What is told of incidents to whom, and in which form. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/web_client.h"
#include "frameworks/v1/operation.pb.h"
#include "model/kind.h"

namespace frameworks {

// Somebody who is told. The URL may hold a secret (a token of a chat's webhook): it is never
// logged, and errors name the receiver instead.
struct Receiver {
  enum class Form { kWebhook, kAlertmanager };
  Form form = Form::kWebhook;
  std::string name;  // "webhook 1 (chat.example.net)"
  std::string url;
};

// `given`: a URL (see web_url.h), or "@FILE" with one in it, for those that are secret. An
// Alertmanager's is that of its root, e.g. "http://127.0.0.1:9093". `nth` counts from 1.
Result<Receiver> parse_receiver(Receiver::Form form, const std::string& given, int nth);

// A webhook gets {"incident", "state": "open"|"closed", "type", "object", "cause", "openTime",
// "closeTime", "objects", "message"}; the header Idempotency-Key names incident and state, since it
// may be told twice. Alertmanager gets POST /api/v2/alerts; an open incident is to be told again
// before `until`.
WebRequest notice_to(const Receiver& receiver, const pb::Incident& incident,
                     const google::protobuf::Timestamp& until);

// Removes the receiver's URL from a text.
std::string without_url(std::string text, const Receiver& receiver);

}  // namespace frameworks
