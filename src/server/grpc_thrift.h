// What gRPC and OpenSSL keep for every connection beyond what it needs while it is quiet: with ten
// thousand agents that is most of a server's memory.
#pragma once

namespace frameworks {

// Once for the process, before the first connection: TLS gives its buffers back when they are empty
// (33 KB a connection), and Abseil no longer keeps a graph of who held which lock together.
void make_grpc_thrifty();

}  // namespace frameworks
