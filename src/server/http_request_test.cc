#include "server/http_request.h"

#include <gtest/gtest.h>

namespace frameworks {
namespace {

HttpReading read(std::string_view text, HttpHead& head, size_t limit = 4096) {
  size_t searched = 0;
  return read_http_head(text, limit, searched, head);
}
int refusal(std::string_view text) {
  HttpHead head;
  const HttpReading reading = read(text, head);
  return reading.state == HttpReading::State::kRefused ? reading.status : 0;
}

TEST(HttpHead, ReadsWhatATransportMustKnow) {
  HttpHead head;
  const std::string text =
      "POST /a?b=1 HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 5\r\nX-Y:  z \r\n\r\n";
  const std::string bytes = text + "hello";
  ASSERT_EQ(read(bytes, head).state, HttpReading::State::kDone);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/a?b=1");
  EXPECT_EQ(head.content_length, 5U);
  EXPECT_EQ(head.find("x-y"), "z");
  EXPECT_EQ(head.size, text.size());
  EXPECT_TRUE(head.keep_alive);
}

TEST(HttpHead, IsTheSameInWhateverPiecesItArrives) {
  const std::string text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  size_t searched = 0;
  HttpHead head;
  for (size_t size = 0; size < text.size(); ++size)
    ASSERT_EQ(read_http_head(std::string_view(text).substr(0, size), 4096, searched, head).state,
              HttpReading::State::kMore);
  ASSERT_EQ(read_http_head(text, 4096, searched, head).state, HttpReading::State::kDone);
  EXPECT_FALSE(head.keep_alive);
}

// One object for all requests of a connection reads each as a new one would.
TEST(HttpHead, RemembersHeadersOfTheRequestBefore) {
  const std::vector<std::string> requests{
      "GET /a HTTP/1.1\r\nHost: x\r\nAccept: b\r\n\r\n",
      "GET /b HTTP/1.1\r\nHost: x\r\nAccept: b\r\n\r\n",
      "GET /b HTTP/1.1\r\nHost: x\r\nAccept: c\r\n\r\n",
      "GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
      "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
      "POST /c HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
      "GET /d HTTP/1.0\r\n\r\n",
      "GET /d HTTP/1.1\r\n\r\n",  // refused: no host
      "GET /e HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
      "GET /e HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
      "PUT /f HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
      "PUT /\x01 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
      "PUT /f HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
      "GET /g HTTP/1.1\r\nHost: x\r\nX: " + std::string(2000, 'y') + "\r\n\r\n",
      "GET /g HTTP/1.1\r\nHost: x\r\nX: " + std::string(2000, 'y') + "\r\n\r\n",
  };
  HttpHead used;
  for (const std::string& text : requests) {
    const std::string bytes = text + "abc";
    HttpHead fresh;
    const HttpReading expected = read(bytes, fresh);
    const HttpReading reading = read(bytes, used);
    ASSERT_EQ(reading.state, expected.state) << text;
    ASSERT_EQ(reading.status, expected.status) << text;
    if (reading.state != HttpReading::State::kDone) continue;
    EXPECT_EQ(used.method, fresh.method);
    EXPECT_EQ(used.target, fresh.target);
    EXPECT_EQ(used.size, fresh.size);
    EXPECT_EQ(used.keep_alive, fresh.keep_alive) << text;
    EXPECT_EQ(used.content_length, fresh.content_length);
    EXPECT_EQ(used.expects_continue, fresh.expects_continue);
    ASSERT_EQ(used.headers().size(), fresh.headers().size()) << text;
    for (size_t i = 0; i < fresh.headers().size(); ++i) {
      EXPECT_EQ(used.headers()[i].name, fresh.headers()[i].name);
      EXPECT_EQ(used.headers()[i].value, fresh.headers()[i].value);
    }
  }
}

TEST(HttpHead, RefusesWhatTwoReadersCouldUnderstandDifferently) {
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n\r\n"), 400) << "no host";
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            400);
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n"),
            400);
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
  EXPECT_EQ(refusal("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(refusal("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(refusal("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(refusal(std::string(5000, 'x')), 431);
}

TEST(ChunkedBody, IsTheSameInWhateverPiecesItArrives) {
  const std::string text = "4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nTrailer: 1\r\n\r\nrest";
  for (size_t cut = 1; cut < text.size(); ++cut) {
    ChunkedBody chunks;
    std::string body;
    size_t taken = 0;
    const auto first = chunks.feed(std::string_view(text).substr(0, cut), 100, body, taken);
    size_t all = taken;
    if (first.state == HttpReading::State::kMore) {
      EXPECT_EQ(chunks.feed(std::string_view(text).substr(cut), 100, body, taken).state,
                HttpReading::State::kDone);
      all += taken;
    }
    EXPECT_EQ(body, "Wikipedia");
    EXPECT_EQ(all, text.size() - 4);
  }
}

TEST(ChunkedBody, IsBoundedAndStrict) {
  const auto status = [](std::string_view text, size_t limit) {
    std::string body;
    size_t taken = 0;
    return ChunkedBody().feed(text, limit, body, taken).status;
  };
  EXPECT_EQ(status("5\r\nhello\r\n", 4), 413);
  EXPECT_EQ(status("fffffffffffffff\r\n", 4), 0);  // the size alone holds nothing
  EXPECT_EQ(status("fffffffffffffff\r\nx", 4), 413);
  EXPECT_EQ(status("ffffffffffffffff1\r\n", 4), 400);
  EXPECT_EQ(status("x\r\n", 4), 400);
  EXPECT_EQ(status("1\r\nab", 4), 400);
  EXPECT_EQ(status("\r\n", 4), 400);
}

}  // namespace
}  // namespace frameworks
