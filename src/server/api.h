// The API as one table of methods; both transports (gRPC, REST) are generated from it.
//
// A handler is registered under its method's full name; who may call it and its REST route come
// from the options in proto/. No transport knows a method.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/ready_answer.h"
#include "frameworks/v1/options.pb.h"
#include "model/kind.h"

namespace frameworks {

// Whoever calls, as far as it was proven.
struct Caller {
  pb::Access role = pb::ACCESS_ANYBODY;
  // "account/admin", "node/core-1"; empty: nobody in particular.
  std::string name;
  // The tenant that the caller is bound to; empty: the whole fleet.
  std::string tenant = {};
  // Of the AccessToken that was used, if any.
  std::string token = {};
  // Where from, e.g. "grpc 10.0.0.7".
  std::string source = {};
};
// "grpc 10.0.0.7" → "10.0.0.7"
inline std::string_view address_of(std::string_view source) {
  return source.substr(source.find(' ') + 1);
}

// The answers of a streaming method. The transport pulls when it can write, so nothing queues up
// for a slow reader.
class ReplyStream {
 public:
  enum class State { kMessage, kReady, kWait, kEnd };
  enum class Form { kProto, kJson };
  virtual ~ReplyStream() = default;
  // Fills `out` (kMessage), or has an answer as bytes (kReady: take it by ready()), or tells to
  // wait for a poke, or that all was said. Must not block for long.
  virtual Result<State> next(Message& out) = 0;
  // After kReady: the answer, with at least the pieces of this form.
  virtual Ready ready(Form form);
};
// Tells a transport that next() may have something; callable from any thread, must not block.
using Poke = std::function<void()>;

// Where a handler runs.
enum class Runs {
  kInline,  // on the transport's thread: answers from memory
  kWorker,  // on a worker thread: waits for the disk, or computes for long
};

// The rules declared on a request's fields (required, min, max, format).
class RequestRules {
 public:
  explicit RequestRules(const google::protobuf::Descriptor& request);
  // Tells every violation at once.
  [[nodiscard]] Status check(const Message& request) const;

 private:
  using Field = google::protobuf::FieldDescriptor;
  std::vector<std::pair<const Field*, const pb::FieldRules*>> fields_;
};

struct Method {
  std::string name;  // "frameworks.v1.Fleet/Apply"
  const google::protobuf::MethodDescriptor* descriptor = nullptr;
  pb::Access access = pb::ACCESS_NOBODY;
  pb::TenantScope tenant_scope = pb::TENANT_SCOPE_NONE;
  bool writes = false;
  pb::HttpRoute http;
  Runs runs = Runs::kInline;
  const Message* request = nullptr;  // prototypes
  const Message* response = nullptr;
  std::shared_ptr<const RequestRules> rules;
  // One of `unary` and `stream`.
  std::function<Status(const Caller&, const Message&, Message&)> unary;
  std::function<Result<std::unique_ptr<ReplyStream>>(const Caller&, const Message&, Poke)> stream;
  // The fast way of some unary methods: asked instead, on the transport's thread; never null.
  std::function<Result<Ready>(const Caller&, const Message&)> ready;
};

class Api {
 public:
  // `name` as "frameworks.v1.Fleet/Get". CHECKs that the method exists, takes and answers these
  // types, and is registered once.
  template <typename Request, typename Response>
  void add(std::string_view name, Runs runs,
           std::function<Status(const Caller&, const Request&, Response&)> handler) {
    Method& method =
        add_method(name, runs, Request::default_instance(), Response::default_instance());
    method.unary = [handler = std::move(handler)](const Caller& caller, const Message& request,
                                                  Message& response) {
      return handler(caller, static_cast<const Request&>(request),
                     static_cast<Response&>(response));
    };
  }
  template <typename Request, typename Response>
  void add_stream(
      std::string_view name,
      std::function<Result<std::unique_ptr<ReplyStream>>(const Caller&, const Request&, Poke)>
          handler) {
    Method& method =
        add_method(name, Runs::kWorker, Request::default_instance(), Response::default_instance());
    method.stream = [handler = std::move(handler)](const Caller& caller, const Message& request,
                                                   Poke poke) {
      return handler(caller, static_cast<const Request&>(request), std::move(poke));
    };
  }

  // A method that answers from memory, without waiting, with bytes that exist already.
  template <typename Request, typename Response>
  void add_ready(std::string_view name,
                 std::function<Result<Ready>(const Caller&, const Request&)> handler) {
    Method& method =
        add_method(name, Runs::kInline, Request::default_instance(), Response::default_instance());
    method.ready = [handler = std::move(handler)](const Caller& caller, const Message& request) {
      return handler(caller, static_cast<const Request&>(request));
    };
    method.unary = [ready = method.ready](const Caller& caller, const Message& request,
                                          Message& response) -> Status {
      ASSIGN_OR_RETURN(const Ready answer, ready(caller, request));
      CHECK(response.ParseFromString(joined(answer->proto)));
      return {};
    };
  }

  // nullptr when there is none. Valid as long as the table.
  [[nodiscard]] const Method* find(std::string_view name) const;
  [[nodiscard]] const std::vector<std::unique_ptr<Method>>& methods() const { return methods_; }

 private:
  Method& add_method(std::string_view name, Runs runs, const Message& request,
                     const Message& response);
  std::vector<std::unique_ptr<Method>> methods_;  // by name
};

// Whether the caller's role suffices. kUnauthenticated for nobody in particular, else
// kPermissionDenied. Nodes may call what is for nodes, and nothing that is for people.
Status authorize(const Method& method, const Caller& caller);

// Holds a caller that is bound to a tenant to the method's `tenant_scope`; fills in the request's
// tenant where that is the scope. A foreign tenant answers as one that does not exist.
Status scope(const Method& method, const Caller& caller, Message& request);

}  // namespace frameworks
