// What is known of a kind: its message, its names, its defaults, its rules and its columns.
//
// A kind is one message in proto/ (with the option `kind`) and one file here that calls
// `make_kind<T>()`. Store, API, command line, watch and tables work for it without further code.
#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/resource.pb.h"

namespace frameworks {

class Snapshot;
class Kind;
namespace pb = ::frameworks::v1;
using Message = google::protobuf::Message;

// Identity of a resource. Ordered by kind, tenant, name.
struct ResourceKey {
  std::string kind;    // "Tenant"
  std::string tenant;  // empty for resources of the fleet
  std::string name;

  auto operator<=>(const ResourceKey&) const = default;
  // "Grant/acme/eu-edge", "Node/core-1"
  [[nodiscard]] std::string text() const;
};

// One version of one resource: immutable, shared, cheap to copy.
class Resource {
 public:
  Resource() = default;
  // `message` must be of `kind`'s message type.
  Resource(const Kind& kind, std::shared_ptr<const Message> message);
  template <typename T>
  static Resource of(T message);  // e.g. Resource::of<pb::Node>(node); in registry.h

  explicit operator bool() const { return message_ != nullptr; }
  [[nodiscard]] const Kind& kind() const { return *kind_; }
  [[nodiscard]] const Message& message() const { return *message_; }
  [[nodiscard]] const pb::Metadata& metadata() const;
  [[nodiscard]] const std::string& name() const { return metadata().name(); }
  [[nodiscard]] ResourceKey key() const;
  // The typed message; CHECKs that it is of type T.
  template <typename T>
  const T& as() const;
  template <typename T>
  std::shared_ptr<const T> share() const {
    return std::static_pointer_cast<const T>(message_);
  }

 private:
  const Kind* kind_ = nullptr;
  std::shared_ptr<const Message> message_;
};

// Collects what is wrong with one resource.
class Validation {
 public:
  Validation(const Snapshot& snapshot, std::string object)
      : snapshot_(snapshot), object_(std::move(object)) {}
  // The fleet as it would be after the change, for rules that span resources.
  [[nodiscard]] const Snapshot& snapshot() const { return snapshot_; }
  // `field` as in "spec.ports[1].port"; `message` one lower-case clause that names the value.
  void fail(std::string field, std::string message) {
    violations_.push_back({{}, 0, object_, std::move(field), std::move(message)});
  }
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }
  std::vector<Violation>& violations() { return violations_; }

 private:
  const Snapshot& snapshot_;
  std::string object_;
  std::vector<Violation> violations_;
};

// One column of the table that `frameworks get` prints.
struct Column {
  std::string title;
  std::function<std::string(const Message&)> text;
};

class Kind {
 public:
  std::string name;                  // "Tenant"
  std::string plural;                // "tenants"
  std::vector<std::string> aliases;  // further names, lower case
  bool tenant_owned = false;
  bool system_owned = false;
  const google::protobuf::Descriptor* descriptor = nullptr;
  const Message* prototype = nullptr;

  // Fills what the operator left out. Runs before validation; idempotent.
  std::function<void(Message&)> defaults;
  // Rules beyond those declared on fields.
  std::function<void(const Message&, Validation&)> validate;
  std::vector<Column> columns;
  // Values under which Snapshot::find_by() finds the resource, e.g. {"cluster", "eu-edge"}.
  std::function<std::vector<std::pair<std::string, std::string>>(const Message&)> index;

  // Access to the conventional fields of a kind's message.
  std::function<const pb::Metadata&(const Message&)> metadata;
  std::function<pb::Metadata&(Message&)> mutable_metadata;

  [[nodiscard]] std::unique_ptr<Message> make() const {
    return std::unique_ptr<Message>(prototype->New());
  }
};

// The parts of a kind that its file gives.
template <typename T>
struct KindParts {
  std::function<void(T&)> defaults;
  std::function<void(const T&, Validation&)> validate;
  std::vector<std::pair<std::string, std::function<std::string(const T&)>>> columns;
  std::function<std::vector<std::pair<std::string, std::string>>(const T&)> index;
};

// Reads the option `kind` of T's message for names and ownership.
Kind kind_from_descriptor(const Message& prototype);

template <typename T>
Kind make_kind(KindParts<T> parts) {
  Kind kind = kind_from_descriptor(T::default_instance());
  if (parts.defaults)
    kind.defaults = [f = std::move(parts.defaults)](Message& m) { f(static_cast<T&>(m)); };
  if (parts.validate)
    kind.validate = [f = std::move(parts.validate)](const Message& m, Validation& v) {
      f(static_cast<const T&>(m), v);
    };
  if (parts.index)
    kind.index = [f = std::move(parts.index)](const Message& m) {
      return f(static_cast<const T&>(m));
    };
  for (auto& [title, text] : parts.columns)
    kind.columns.push_back(
        {title, [f = std::move(text)](const Message& m) { return f(static_cast<const T&>(m)); }});
  kind.metadata = [](const Message& m) -> const pb::Metadata& {
    return static_cast<const T&>(m).metadata();
  };
  kind.mutable_metadata = [](Message& m) -> pb::Metadata& {
    return *static_cast<T&>(m).mutable_metadata();
  };
  return kind;
}

}  // namespace frameworks
