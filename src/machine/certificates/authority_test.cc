#include "machine/certificates/authority.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

namespace frameworks {
namespace {

using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;

CertificatePtr parse(const std::string& pem) {
  BIO* in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
  BIO_free(in);
  return {certificate, X509_free};
}

// Verifies as a peer would at `when`, for `purpose`.
bool verifies(const std::string& ca, const std::string& leaf, int purpose, WallTime when) {
  const auto root = parse(ca);
  const auto certificate = parse(leaf);
  std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  X509_STORE_add_cert(store.get(), root.get());
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                          X509_STORE_CTX_free);
  X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  X509_STORE_CTX_set_time(context.get(), 0, std::chrono::system_clock::to_time_t(when));
  return X509_verify_cert(context.get()) == 1;
}

std::vector<std::string> uris(const std::string& pem) {
  const auto certificate = parse(pem);
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  std::vector<std::string> out;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                     static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  GENERAL_NAMES_free(names);
  return out;
}

class AuthorityTest : public ::testing::Test {
 protected:
  AuthorityTest() : directory_(std::move(*TemporaryDirectory::make())) {}
  Authority load() { return std::move(*Authority::load_or_create(directory_.path(), clock_)); }

  ManualClock clock_;
  TemporaryDirectory directory_;
};

TEST_F(AuthorityTest, IsMadeOnceAndItsKeyIsForItsOwnerOnly) {
  const std::string first = load().certificate_pem();
  EXPECT_EQ(load().certificate_pem(), first);
  struct stat info {};
  ASSERT_EQ(stat((directory_.path() / "ca.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(AuthorityTest, IsMadeAnewAfterACrashBetweenKeyAndCertificate) {
  load();
  std::filesystem::remove(directory_.path() / "ca.pem");
  const Authority authority = load();
  const auto request = make_certificate_request();
  const auto issued = authority.sign_node(request->request_pem, "core-1");
  ASSERT_TRUE(issued);
  EXPECT_TRUE(
      verifies(authority.certificate_pem(), issued->pem, X509_PURPOSE_SSL_CLIENT, clock_.wall()));
}

TEST_F(AuthorityTest, RefusesAKeyThatDoesNotBelongToItsCertificate) {
  load();
  ASSERT_TRUE(write_file(directory_.path() / "ca.key", make_certificate_request()->key_pem, 0600));
  const auto loaded = Authority::load_or_create(directory_.path(), clock_);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), Code::kFailedPrecondition);
}

TEST_F(AuthorityTest, SignsANodeForADayAsAClientOnly) {
  const Authority authority = load();
  const auto request = make_certificate_request();
  const auto issued = authority.sign_node(request->request_pem, "eu-edge-1");
  ASSERT_TRUE(issued);
  const std::string& ca = authority.certificate_pem();
  EXPECT_EQ(uris(issued->pem), std::vector<std::string>{"spiffe://frameworks/node/eu-edge-1"});
  EXPECT_TRUE(verifies(ca, issued->pem, X509_PURPOSE_SSL_CLIENT, clock_.wall()));
  EXPECT_FALSE(verifies(ca, issued->pem, X509_PURPOSE_SSL_SERVER, clock_.wall()));
  EXPECT_TRUE(
      verifies(ca, issued->pem, X509_PURPOSE_SSL_CLIENT, clock_.wall() + std::chrono::hours(23)));
  EXPECT_FALSE(
      verifies(ca, issued->pem, X509_PURPOSE_SSL_CLIENT, clock_.wall() + std::chrono::hours(25)));
}

TEST_F(AuthorityTest, GivesEveryCertificateItsOwnSerial) {
  const Authority authority = load();
  const auto request = make_certificate_request();
  EXPECT_NE(authority.sign_node(request->request_pem, "a")->serial,
            authority.sign_node(request->request_pem, "a")->serial);
}

TEST_F(AuthorityTest, RefusesWhatIsNoProperRequest) {
  const Authority authority = load();
  const std::string good = make_certificate_request()->request_pem;
  std::string forged = good;
  // A byte of the signature, which comes last.
  const size_t at = forged.find("\n-----END") - 8;
  forged[at] = forged[at] == 'A' ? 'B' : 'A';
  for (const std::string& pem : {std::string(), std::string("hello"), forged,
                                 std::string(authority.certificate_pem()), good.substr(0, 80)}) {
    const auto issued = authority.sign_node(pem, "a");
    ASSERT_FALSE(issued) << pem;
    EXPECT_EQ(issued.error().code(), Code::kInvalidArgument);
  }
}

TEST_F(AuthorityTest, RefusesANameThatWouldSmuggleInAnotherIdentity) {
  const auto request = make_certificate_request();
  for (const char* name : {"", "a,URI:spiffe://frameworks/node/b", "A", "a/b"})
    EXPECT_FALSE(load().sign_node(request->request_pem, name)) << name;
}

TEST_F(AuthorityTest, IssuesAServerCertificateForItsNamesAndAddresses) {
  const Authority authority = load();
  const auto server =
      authority.issue_server({"quartermaster", "localhost"}, {"127.0.0.1", "10.99.0.1"});
  ASSERT_TRUE(server);
  EXPECT_TRUE(verifies(authority.certificate_pem(), server->certificate_pem,
                       X509_PURPOSE_SSL_SERVER, clock_.wall()));
  const auto certificate = parse(server->certificate_pem);
  EXPECT_EQ(X509_check_host(certificate.get(), "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.99.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.99.0.2", 0), 0);
  EXPECT_FALSE(authority.issue_server({}, {}));
}

TEST(NodeIdentity, ReadsBackWhatItWrote) {
  EXPECT_EQ(node_of_identity(node_identity("core-1")), "core-1");
  EXPECT_EQ(node_of_identity("spiffe://other/node/core-1"), "");
  EXPECT_EQ(node_of_identity("spiffe://frameworks/node/a/b"), "");
}

}  // namespace
}  // namespace frameworks
