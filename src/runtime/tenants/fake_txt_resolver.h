// A table in place of the DNS, for tests; can be silent.
#pragma once

#include <map>
#include <utility>

#include "base/locked.h"
#include "runtime/tenants/txt_resolver.h"

namespace frameworks {

class FakeTxtResolver final : public TxtResolver {
 public:
  // A name without texts has other records only.
  void set(const std::string& name, std::vector<std::string> texts) {
    table_.with([&](auto& table) { table[name] = std::move(texts); });
  }
  void remove(const std::string& name) {
    table_.with([&](auto& table) { table.erase(name); });
  }
  void set_silent(bool silent) {
    silent_.with([&](bool& now) { now = silent; });
  }
  [[nodiscard]] int asked() const {
    return asked_.with([](const int& count) { return count; });
  }

  Result<std::vector<std::string>> find_txt(const std::string& name) override {
    asked_.with([](int& count) { ++count; });
    if (silent_.with([](const bool& now) { return now; }))
      return Error(Code::kUnavailable, "the resolver does not answer");
    return table_.with([&](const auto& table) -> Result<std::vector<std::string>> {
      const auto found = table.find(name);
      if (found == table.end() || found->second.empty())
        return Error(Code::kNotFound, "no TXT record at " + name);
      return found->second;
    });
  }

 private:
  Locked<std::map<std::string, std::vector<std::string>>> table_;
  Locked<bool> silent_;
  mutable Locked<int> asked_;
};

}  // namespace frameworks
