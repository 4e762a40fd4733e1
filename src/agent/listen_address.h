// "address:port" as where the agent listens.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string>

namespace frameworks {

// For asio's endpoints of TCP and UDP. Throws std::exception when it is none.
template <typename Endpoint>
Endpoint listen_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  const auto address = boost::asio::ip::make_address(text.substr(0, colon));
  return Endpoint(address, static_cast<uint16_t>(std::stoi(text.substr(colon + 1))));
}

}  // namespace frameworks
