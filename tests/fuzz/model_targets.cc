// What comes in as JSON, as YAML and as a filter.
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/documents.h"
#include "model/json.h"
#include "model/registry.h"
#include "model/validate.h"
#include "model/yaml_tree.h"
#include "server/filter.h"
#include "server/pages.h"
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

// A list of five resources, of two tenants and of none.
const Snapshot& few_grants() {
  static const Snapshot& snapshot = *[] {
    auto* out = new Snapshot;
    for (const auto& [tenant, name] : std::initializer_list<std::pair<const char*, const char*>>{
             {"acme", "a"}, {"acme", "b"}, {"globex", "a"}, {"globex", "b"}, {"globex", "c"}}) {
      pb::Grant grant;
      grant.mutable_metadata()->set_tenant(tenant);
      grant.mutable_metadata()->set_name(name);
      out->put(Resource::of(grant));
    }
    return out;
  }();
  return snapshot;
}

// "tenant\nfilter\ntoken, or what one is made of": a token that was not made for the list is
// refused, one that was goes on behind its place, wherever that is.
void page_tokens(std::string_view bytes) {
  const Kind& kind = kind_of<pb::Grant>();
  const auto line = [&] {
    const std::string_view out = bytes.substr(0, bytes.find('\n'));
    bytes.remove_prefix(std::min(bytes.size(), out.size() + 1));
    return std::string(out);
  };
  pb::ListRequest request;
  request.set_tenant(line());
  request.set_filter(line());
  request.set_page_token(std::string(bytes));
  if (const auto begin = page_begin(request, kind); begin && !bytes.empty()) {
    pb::ListRequest other = request;
    other.set_filter(request.filter() + "x");
    CHECK(!page_begin(other, kind));
  }
  if (bytes.empty()) return;
  request.set_page_token(page_token(request, kind, bytes));
  const auto begin = page_begin(request, kind);
  CHECK(begin && *begin == bytes);
  for (const char* caller : {"", "acme"}) {
    std::vector<std::string> places;
    const Visibility visibility(few_grants(), caller);
    scan_after(visibility, kind, request.tenant(), *begin, [&](const Resource& resource) {
      CHECK(visibility.sees(resource));
      places.push_back(place_of(resource));
      return true;
    });
    CHECK(std::is_sorted(places.begin(), places.end()));
    // A place that is none (no tenant and name) begins at the beginning.
    if (bytes.find('\x1f') != std::string_view::npos && !places.empty())
      CHECK(places.front() > *begin);
  }
}

}  // namespace

void add_model_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"json_resource", json_resource},
                         {"yaml_documents", yaml_documents},
                         {"list_filter", list_filter},
                         {"page_tokens", page_tokens}});
}

}  // namespace frameworks
