// Who the node is: keys that are made here and never leave it, and the certificate they earned.
//
// In the state folder: node.key (P-256, PEM), wireguard.key (X25519, base64), both 0600; node.crt
// and ca.crt once joined. Threadsafe after load_or_create(), but for store().
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace frameworks {

struct NodeCredentials {
  std::string certificate_pem;
  std::string ca_pem;
  WallTime not_before;
  WallTime not_after;

  // When two thirds of its life are over.
  [[nodiscard]] WallTime renew_at() const { return not_before + (not_after - not_before) / 3 * 2; }
};

class Identity {
 public:
  // Makes what is missing. The folder is made with mode 0700.
  static Result<Identity> load_or_create(const std::filesystem::path& folder);

  [[nodiscard]] const std::string& tls_key_pem() const { return tls_key_pem_; }
  [[nodiscard]] const std::string& wireguard_private_key() const { return wireguard_private_; }
  [[nodiscard]] const std::string& wireguard_public_key() const { return wireguard_public_; }
  // PKCS #10 (RFC 2986), PEM.
  [[nodiscard]] Result<std::string> certificate_request(const std::string& node) const;
  // None before the node has joined.
  [[nodiscard]] const std::optional<NodeCredentials>& credentials() const { return credentials_; }
  // kInvalidArgument: no certificate, or for another key. An empty `ca_pem` keeps the present one.
  Status store(const std::string& certificate_pem, const std::string& ca_pem);

 private:
  std::filesystem::path folder_;
  std::string tls_key_pem_;
  std::string wireguard_private_;
  std::string wireguard_public_;
  std::optional<NodeCredentials> credentials_;
};

}  // namespace frameworks
