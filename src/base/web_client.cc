#include "base/web_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>

#include "base/web_url.h"

namespace frameworks {
namespace {

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

struct Receiving {
  std::string body;
  size_t limit;
  bool too_long = false;
};

size_t receive(char* bytes, size_t size, size_t count, void* to) {
  auto& receiving = *static_cast<Receiving*>(to);
  if (receiving.body.size() + size * count > receiving.limit) {
    receiving.too_long = true;
    return 0;
  }
  receiving.body.append(bytes, size * count);
  return size * count;
}

int should_stop(void* token, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<std::stop_token*>(token)->stop_requested() ? 1 : 0;
}

class CurlClient final : public WebClient {
 public:
  Result<WebAnswer> ask(const WebRequest& request) override {
    const auto url = parse_web_url(request.url);
    if (!url)
      return Error(Code::kInvalidArgument,
                   fmt::format("\"{}\" {}", request.url, url.error().message()));
    const Handle handle(curl_easy_init(), curl_easy_cleanup);
    CHECK(handle != nullptr);
    CURL* curl = handle.get();
    Receiving receiving{{}, request.limit};
    std::stop_token stop = request.stop;
    const Headers headers = set_request(curl, request, url->tls);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &receiving);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, should_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &stop);
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) return failure(code, request, receiving);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return WebAnswer{static_cast<int>(status), std::move(receiving.body)};
  }

 private:
  static Headers set_request(CURL* curl, const WebRequest& request, bool tls) {
    curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, tls ? "https" : "http");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    const auto timeout = static_cast<long>(request.timeout.count());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout);
    // What is on this host is not asked through somebody else.
    if (!tls) curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "frameworks");
    curl_slist* headers = nullptr;
    for (const std::string& header : request.headers)
      headers = curl_slist_append(headers, header.c_str());
    if (!request.content_type.empty()) {
      headers = curl_slist_append(headers, ("Content-Type: " + request.content_type).c_str());
      curl_easy_setopt(curl, CURLOPT_POST, 1L);
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.content.c_str());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.content.size()));
    }
    return {headers, curl_slist_free_all};
  }

  static Error failure(CURLcode code, const WebRequest& request, const Receiving& receiving) {
    if (receiving.too_long)
      return {Code::kFailedPrecondition,
              fmt::format("{} answers more than {} bytes", request.url, request.limit)};
    if (code == CURLE_ABORTED_BY_CALLBACK) return {Code::kCancelled, "stopped"};
    if (code == CURLE_OPERATION_TIMEDOUT)
      return {Code::kDeadlineExceeded,
              fmt::format("{} does not answer within {} ms", request.url, request.timeout.count())};
    return {Code::kUnavailable, fmt::format("{}: {}", request.url, curl_easy_strerror(code))};
  }
};

}  // namespace

std::unique_ptr<WebClient> make_web_client() {
  // Not threadsafe by itself.
  static const CURLcode kReady = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(kReady == CURLE_OK);
  return std::make_unique<CurlClient>();
}

std::string form_encode(const std::vector<std::pair<std::string, std::string>>& fields) {
  const auto encode = [](const std::string& text) {
    std::string out;
    for (const char c : text) {
      const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
      out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
  };
  std::string out;
  for (const auto& [name, value] : fields)
    out += (out.empty() ? "" : "&") + encode(name) + "=" + encode(value);
  return out;
}

}  // namespace frameworks
