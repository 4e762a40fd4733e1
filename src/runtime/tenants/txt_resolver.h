// TXT records of the DNS (RFC 1035, section 3.3.14), as far as proving a domain needs them.
//
// The seam of domain checks to the world: DnsTxtResolver asks a resolver, FakeTxtResolver a table;
// both pass txt_resolver_contract.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace frameworks {

class TxtResolver {
 public:
  virtual ~TxtResolver() = default;
  // The texts of the name's records, each as one string however it was cut. Waits for the answer,
  // at most about six seconds. kNotFound: there is surely no such record; kUnavailable: nobody
  // knows. Threadsafe.
  virtual Result<std::vector<std::string>> find_txt(const std::string& name) = 0;
};

// Asks by UDP, and by TCP what does not fit. `resolver` is "address:port"; empty: the resolvers of
// /etc/resolv.conf. kInvalidArgument for what is neither.
Result<std::unique_ptr<TxtResolver>> make_dns_txt_resolver(const std::string& resolver);

}  // namespace frameworks
