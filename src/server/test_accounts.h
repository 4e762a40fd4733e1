// Accounts for tests, as a fleet file's documents.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>

namespace frameworks {

struct TestAccount {
  const char* name;
  const char* role;
  const char* tenant = "";  // empty: of the fleet
};

// Goes behind other documents.
inline std::string account_documents(std::initializer_list<TestAccount> accounts) {
  std::string out;
  for (const TestAccount& each : accounts)
    out += fmt::format(
        "---\napiVersion: frameworks/v1\nkind: Account\nmetadata: {{name: {}}}\nspec: {{role: "
        "{}{}}}\n",
        each.name, each.role, *each.tenant == '\0' ? "" : fmt::format(", tenant: {}", each.tenant));
  return out;
}

}  // namespace frameworks
