#include "model/kind.h"

#include "base/text.h"
#include "frameworks/v1/options.pb.h"
#include "model/pack.h"
#include "model/registry.h"

namespace frameworks {

std::string ResourceKey::text() const {
  return tenant.empty() ? kind + "/" + name : kind + "/" + tenant + "/" + name;
}

Resource::Resource(const Kind& kind, std::shared_ptr<const Message> message)
    : kind_(&kind), message_(std::move(message)) {
  CHECK(message_->GetDescriptor() == kind.descriptor);
}

const pb::Metadata& Resource::metadata() const { return kind_->metadata(*message_); }

ResourceKey Resource::key() const {
  const pb::Metadata& meta = metadata();
  return {kind_->name, meta.tenant(), meta.name()};
}

Kind kind_from_descriptor(const Message& prototype) {
  Kind kind;
  kind.descriptor = prototype.GetDescriptor();
  kind.prototype = &prototype;
  const pb::KindRules& rules = kind.descriptor->options().GetExtension(pb::kind);
  kind.name = kind.descriptor->name();
  kind.plural = rules.plural();
  kind.tenant_owned = rules.tenant_owned();
  kind.system_owned = rules.system_owned();
  kind.aliases.assign(rules.aliases().begin(), rules.aliases().end());
  CHECK(!kind.plural.empty());
  const auto number = [&](const char* field) {
    return kind.descriptor->FindFieldByName(field)->number();
  };
  CHECK(number("metadata") == kMetadataField && number("spec") == kSpecField &&
        number("status") == kStatusField);
  return kind;
}

}  // namespace frameworks
