// What comes in as JSON, as YAML and as a filter.
#include <memory>

#include "base/error.h"
#include "model/documents.h"
#include "model/json.h"
#include "model/registry.h"
#include "model/validate.h"
#include "model/yaml_tree.h"
#include "server/filter.h"
#include "target.h"

namespace frameworks {
namespace {

const Kind& kind_at(unsigned choice) { return all_kinds()[choice % all_kinds().size()]; }

// What was read once is written and read to the same again.
void json_resource(std::string_view bytes) {
  const Kind& kind = kind_at(take_choice(bytes));
  const auto json = parse_json(bytes);
  if (!json) return;
  (void)pretty_json(*json);
  const std::shared_ptr<Message> message = kind.make();
  if (!from_json(*json, *message)) return;
  const auto written = to_json(*message, Secrets::kShow);
  const auto again = kind.make();
  const Status read = from_json(written, *again);
  CHECK(read.has_value());
  CHECK(json_text(to_json(*again, Secrets::kShow)) == json_text(written));
  (void)with_defaults(Resource(kind, message));
}

void yaml_documents(std::string_view bytes) {
  const Reading reading = read_documents(bytes, "fuzz.yaml");
  for (const Document& document : reading.documents) {
    const std::string text = yaml_text(to_json(document.resource.message(), Secrets::kShow));
    // A resource that is itself wrong is kept for references, and may not read back.
    if (reading.violations.empty()) {
      const Reading again = read_documents(text, "again.yaml");
      CHECK(again.violations.empty());
      CHECK(again.documents.size() == 1);
      CHECK(again.documents[0].resource.key().text() == document.resource.key().text());
    }
  }
}

void list_filter(std::string_view bytes) {
  const Kind& kind = kind_at(take_choice(bytes));
  const auto filter = Filter::parse(bytes, {&kind});
  if (!filter) return;
  const auto empty = kind.make();
  (void)filter->matches(*empty);
  kind.mutable_metadata(*empty).set_name("a");
  (*kind.mutable_metadata(*empty).mutable_labels())["rack"] = "1";
  (void)filter->matches(*empty);
}

}  // namespace

void add_model_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"json_resource", json_resource},
                         {"yaml_documents", yaml_documents},
                         {"list_filter", list_filter}});
}

}  // namespace frameworks
