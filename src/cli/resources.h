// Resources from the server, and how they are shown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/table.h"
#include "model/registry.h"

namespace frameworks::cli {

// The kind that the word means; the error names those there are.
Result<const Kind*> kind_from_word(const std::string& word);
// Checks an option that takes kinds, and offers their names.
std::string kind_words();

struct Listing {
  std::vector<Resource> resources;
  int64_t revision = 0;
};
// Every resource of the kind, page by page; of one tenant where it is set.
Result<Listing> list_resources(Client& client, const Kind& kind, const std::string& tenant);

// One by name. For kinds that tenants own and no tenant given: the only one of that name.
Result<Resource> get_resource(Client& client, const Kind& kind, const std::string& tenant,
                              const std::string& name);

// "42 s", "3 m 5 s", since the resource was made; empty when the server did not say.
std::string age_text(const Resource& resource, WallTime now);

// The kind's columns and AGE.
Table make_table(const Kind& kind, const std::vector<Resource>& resources, WallTime now);

}  // namespace frameworks::cli
