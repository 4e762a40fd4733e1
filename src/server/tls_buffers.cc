#include "server/tls_buffers.h"

#include <openssl/ssl.h>

#include "base/error.h"

namespace frameworks {
namespace {

void on_new_connection(void* connection, void*, CRYPTO_EX_DATA*, int, long, void*) {
  SSL_set_mode(static_cast<SSL*>(connection), SSL_MODE_RELEASE_BUFFERS);
}

}  // namespace

// gRPC lets nobody at its SSL_CTX; but OpenSSL asks everybody who attaches something to connections
// at each new one.
void release_quiet_tls_buffers() {
  static const int index = SSL_get_ex_new_index(0, nullptr, on_new_connection, nullptr, nullptr);
  CHECK(index >= 0);
}

}  // namespace frameworks
