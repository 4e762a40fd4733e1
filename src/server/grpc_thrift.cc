#include "server/grpc_thrift.h"

#include <absl/synchronization/mutex.h>
#include <openssl/ssl.h>

#include "base/error.h"

namespace frameworks {
namespace {

// gRPC does not let anybody at its SSL_CTX; what is attached to every new connection is asked for
// by OpenSSL itself.
void on_new_connection(void* connection, void*, CRYPTO_EX_DATA*, int, long, void*) {
  SSL_set_mode(static_cast<SSL*>(connection), SSL_MODE_RELEASE_BUFFERS);
}

}  // namespace

void make_grpc_thrifty() {
  static const int index = SSL_get_ex_new_index(0, nullptr, on_new_connection, nullptr, nullptr);
  CHECK(index >= 0);
  // Debian builds Abseil with its checks for developers.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace frameworks
