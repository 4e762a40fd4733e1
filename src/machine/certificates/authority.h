// The fleet's own certificate authority: nodes and the server trust each other through it.
//
// P-256 (RFC 5480), X.509 v3 (RFC 5280). The key is made once, lies in the state folder readable by
// its owner only, and never leaves it. Threadsafe after load().
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace frameworks {

// A certificate as it goes over the wire.
struct IssuedCertificate {
  std::string pem;
  std::string serial;  // hex, lower case
  WallTime not_after{};
};

// A certificate together with the key that it is for.
struct KeyAndCertificate {
  std::string key_pem;
  std::string certificate_pem;
};

// "spiffe://frameworks/node/<name>": who a node is, in its certificate.
std::string node_identity(std::string_view node);
// The node's name, or empty when `uri` names no node of a fleet.
std::string node_of_identity(std::string_view uri);

class Authority {
 public:
  static constexpr std::chrono::hours kNodeLife{24};
  static constexpr std::chrono::hours kServerLife{24 * 397};

  // Takes <state>/ca.key (0600) and <state>/ca.pem, or makes them when there are none. A key
  // without a certificate is what a crash in the midst of making them leaves: they are made anew.
  static Result<Authority> load_or_create(const std::filesystem::path& state, Clock& clock);

  [[nodiscard]] const std::string& certificate_pem() const { return certificate_pem_; }

  // Signs the public key of a PKCS #10 request (RFC 2986, PEM) for `node`. Nothing else of the
  // request is used. kInvalidArgument for a request that does not parse, was not signed with its
  // own key, or has a weak key.
  [[nodiscard]] Result<IssuedCertificate> sign_node(std::string_view request_pem,
                                                    std::string_view node) const;

  // A new key and certificate for the server under these DNS names and IP addresses.
  [[nodiscard]] Result<KeyAndCertificate> issue_server(
      const std::vector<std::string>& names, const std::vector<std::string>& addresses) const;

 private:
  using Key = std::shared_ptr<EVP_PKEY>;
  using Certificate = std::shared_ptr<X509>;

  Authority(Clock& clock, Key key, Certificate certificate, std::string pem)
      : clock_(&clock),
        key_(std::move(key)),
        certificate_(std::move(certificate)),
        certificate_pem_(std::move(pem)) {}

  Clock* clock_;
  Key key_;
  Certificate certificate_;
  std::string certificate_pem_;
};

// A new P-256 key and a request for it, as a node makes them; PEM both.
struct KeyAndRequest {
  std::string key_pem;
  std::string request_pem;
};
Result<KeyAndRequest> make_certificate_request();

}  // namespace frameworks
