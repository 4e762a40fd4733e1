// What TLS keeps for a connection while nothing is said on it: with ten thousand agents a third of
// a server's memory.
#pragma once

namespace frameworks {

// From now on every TLS connection of this process gives its buffers back when they are empty (33
// KB each). Again is the same as once.
void release_quiet_tls_buffers();

}  // namespace frameworks
