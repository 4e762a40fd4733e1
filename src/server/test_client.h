// Real clients for tests of the transports: gRPC by method name, and HTTP/1.1 by hand.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio.hpp>
#include <memory>
#include <string>

#include "base/clock.h"

namespace frameworks {

inline std::shared_ptr<grpc::Channel> test_channel(int port, const std::string& ca,
                                                   const std::string& key = "",
                                                   const std::string& certificate = "") {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca;
  options.pem_private_key = key;
  options.pem_cert_chain = certificate;
  grpc::ChannelArguments arguments;
  // Channels of one test must not share a connection: it carries the identity.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("localhost:" + std::to_string(port),
                                   grpc::SslCredentials(options), arguments);
}

inline void authorize_call(grpc::ClientContext& context, const std::string& token) {
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
  context.set_deadline(
      std::chrono::system_clock::time_point(system_clock().wall() + std::chrono::seconds(20)));
}

// Calls a unary method by "frameworks.v1.Fleet/Get".
template <typename Request, typename Response>
grpc::Status unary_call(grpc::Channel& channel, const std::string& method, const std::string& token,
                        const Request& request, Response& response) {
  grpc::ClientContext context;
  authorize_call(context, token);
  const std::string path = "/" + method;
  const grpc::internal::RpcMethod rpc(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
  return grpc::internal::BlockingUnaryCall<Request, Response, google::protobuf::MessageLite,
                                           google::protobuf::MessageLite>(&channel, rpc, &context,
                                                                          request, &response);
}

// Opens a stream of answers by "frameworks.v1.Fleet/Watch"; `context` must outlive the reader.
template <typename Response, typename Request>
std::unique_ptr<grpc::ClientReader<Response>> open_stream(grpc::Channel& channel,
                                                          const std::string& method,
                                                          grpc::ClientContext& context,
                                                          const Request& request) {
  const std::string path = "/" + method;
  const grpc::internal::RpcMethod rpc(path.c_str(), grpc::internal::RpcMethod::SERVER_STREAMING);
  return std::unique_ptr<grpc::ClientReader<Response>>(
      grpc::internal::ClientReaderFactory<Response>::Create(&channel, rpc, &context, request));
}

// One HTTP connection; the test fails by exception when the server does not answer in time.
class HttpClient {
 public:
  explicit HttpClient(int port) {
    boost::asio::ip::tcp::endpoint endpoint(boost::asio::ip::make_address("127.0.0.1"),
                                            static_cast<uint16_t>(port));
    socket_.connect(endpoint);
    const timeval timeout{20, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  }

  void send(const std::string& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }

  // Up to and including `end`; what came so far when the server closes.
  std::string read_until(const std::string& end) {
    while (received_.find(end) == std::string::npos) {
      char bytes[4096];
      const ssize_t count = ::recv(socket_.native_handle(), bytes, sizeof bytes, 0);
      if (count <= 0) return std::exchange(received_, {});
      received_.append(bytes, static_cast<size_t>(count));
    }
    const size_t at = received_.find(end) + end.size();
    std::string out = received_.substr(0, at);
    received_.erase(0, at);
    return out;
  }
  std::string read_all() { return read_until(std::string("\0never\0", 7)); }

  struct Response {
    int status = 0;
    std::string head;
    std::string body;
  };
  Response request(const std::string& verb, const std::string& target,
                   const std::string& token = "", const std::string& body = "") {
    std::string text = verb + " " + target + " HTTP/1.1\r\nHost: localhost\r\n";
    if (!token.empty()) text += "Authorization: Bearer " + token + "\r\n";
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(text + "\r\n" + body);
    return read_response();
  }
  Response read_response() {
    Response response;
    response.head = read_until("\r\n\r\n");
    if (response.head.size() > 12) response.status = std::stoi(response.head.substr(9, 3));
    const size_t length = response.head.find("Content-Length: ");
    if (length == std::string::npos) return response;
    const size_t size = std::stoul(response.head.substr(length + 16));
    while (received_.size() < size) {
      char bytes[4096];
      const ssize_t count = ::recv(socket_.native_handle(), bytes, sizeof bytes, 0);
      if (count <= 0) break;
      received_.append(bytes, static_cast<size_t>(count));
    }
    response.body = received_.substr(0, size);
    received_.erase(0, response.body.size());
    return response;
  }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_{io_};
  std::string received_;
};

}  // namespace frameworks
