// Archives: no byte of one can change, be missing or be added unnoticed; sealed ones open with their
// passphrase only.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "store/archive_file.h"
#include "store/log_contract.h"
#include "store/sealed_stream.h"

namespace frameworks {
namespace {

constexpr int kCheap = 10;

// Gives a text in pieces of some size.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text, size_t piece = 7) : text_(std::move(text)), piece_(piece) {}
  Result<std::string> read() override {
    std::string out = text_.substr(at_, piece_);
    at_ += out.size();
    return out;
  }

 private:
  std::string text_;
  size_t piece_;
  size_t at_ = 0;
};

// Two tenants, of which the first was changed after the second was made.
std::string small_archive() {
  const std::vector<Change> changes = {tenant_change(1, "a", "free"), tenant_change(2, "b", "free"),
                                       tenant_change(3, "a", "pro")};
  AuditHead head;
  const std::vector<AuditRow> rows = chain(changes, head);
  ArchiveWriter writer;
  std::string out;
  pb::ArchiveRecord record;
  record.mutable_header()->set_magic(std::string(kArchiveMagic));
  record.mutable_header()->set_version(kArchiveVersion);
  record.mutable_header()->set_revision(3);
  writer.add(record, out);
  record.mutable_file()->set_name("ca.key");
  record.mutable_file()->set_content("secret");
  writer.add(record, out);
  const auto add_row = [&](const AuditRow& row) {
    record.mutable_audit()->set_position(row.position);
    record.mutable_audit()->set_record(row.record);
    record.mutable_audit()->set_hash(row.hash);
    writer.add(record, out);
  };
  const auto add_object = [&](const Change& change) {
    record.mutable_object()->set_kind("Tenant");
    record.mutable_object()->set_name(change.key.name);
    record.mutable_object()->set_message(change.after.message().SerializeAsString());
    writer.add(record, out);
  };
  add_row(rows[0]);
  add_object(changes[1]);
  add_row(rows[1]);
  add_object(changes[2]);
  add_row(rows[2]);
  writer.end(out);
  return out;
}

// Empty when all of it is right.
std::string problem_of(ByteSource& source) {
  ArchiveReader reader(source);
  if (const auto header = reader.header(); !header) return header.error().text();
  while (true) {
    const auto record = reader.next();
    if (!record) return record.error().text();
    if (!*record) return reader.audit_problem();
  }
}
std::string problem_of(const std::string& bytes) {
  TextSource source(bytes);
  return problem_of(source);
}

std::string seal(const std::string& plain, const std::string& passphrase) {
  auto writer = SealWriter::make(passphrase, kCheap);
  EXPECT_TRUE(writer) << writer.error().text();
  std::string out;
  for (size_t at = 0; at < plain.size(); at += 1'000) writer->add(plain.substr(at, 1'000), out);
  writer->end(out);
  return out;
}

Result<std::string> unseal(const std::string& sealed, const std::string& passphrase) {
  TextSource source(sealed, 999);
  ASSIGN_OR_RETURN(const auto reader, SealReader::open(source, passphrase));
  std::string out;
  while (true) {
    ASSIGN_OR_RETURN(const std::string more, reader->read());
    if (more.empty()) return out;
    out += more;
  }
}

TEST(Archive, IsReadAsItWasWritten) {
  const std::string bytes = small_archive();
  EXPECT_EQ(problem_of(bytes), "");
  TextSource source(bytes);
  ArchiveReader reader(source);
  ASSERT_TRUE(reader.header());
  std::string order;
  while (true) {
    const auto record = reader.next();
    ASSERT_TRUE(record) << record.error().text();
    if (!*record) break;
    order += (*record)->has_file() ? "f" : (*record)->has_object() ? "o" : "a";
  }
  EXPECT_EQ(order, "faoaoa");
  EXPECT_EQ(reader.counts().objects(), 2);
  EXPECT_EQ(reader.audit().entries(), 3);
  EXPECT_FALSE(*reader.next()) << "the end stays the end";
}

TEST(Archive, AnyByteThatChangedIsFound) {
  const std::string bytes = small_archive();
  for (size_t i = 0; i < bytes.size(); ++i)
    for (const int bit : {0, 3, 7}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      ASSERT_NE(problem_of(changed), "") << "byte " << i << " bit " << bit;
    }
}

TEST(Archive, OneThatEndsEarlyOrGoesOnIsFound) {
  const std::string bytes = small_archive();
  for (size_t size = 0; size < bytes.size(); ++size)
    ASSERT_NE(problem_of(bytes.substr(0, size)), "") << size;
  EXPECT_NE(problem_of(bytes + "x"), "");
  EXPECT_NE(problem_of(bytes + bytes), "");
}

TEST(Archive, HostileSizesAreRefusedWithoutMemory) {
  EXPECT_NE(problem_of(std::string("\xff\xff\xff\xff", 4) + "x"), "");
  EXPECT_NE(problem_of(std::string("\x00\x00\x00\x00", 4)), "");
}

TEST(Archive, AnAuditLogThatWasBrokenBeforeIsToldApartFromADamagedArchive) {
  std::vector<Change> changes = {tenant_change(1, "a", "free")};
  AuditHead head;
  std::vector<AuditRow> rows = chain(changes, head);
  rows[0].hash[0] = static_cast<char>(rows[0].hash[0] ^ 1);
  ArchiveWriter writer;
  std::string out;
  pb::ArchiveRecord record;
  record.mutable_header()->set_magic(std::string(kArchiveMagic));
  record.mutable_header()->set_version(kArchiveVersion);
  record.mutable_header()->set_revision(1);
  writer.add(record, out);
  record.mutable_audit()->set_position(rows[0].position);
  record.mutable_audit()->set_record(rows[0].record);
  record.mutable_audit()->set_hash(rows[0].hash);
  writer.add(record, out);
  writer.end(out);
  TextSource source(out);
  ArchiveReader reader(source);
  ASSERT_TRUE(reader.header());
  ASSERT_TRUE(reader.next());
  const auto end = reader.next();
  ASSERT_TRUE(end) << end.error().text();
  EXPECT_FALSE(*end);
  EXPECT_NE(reader.audit_problem().find("revision 1"), std::string::npos);
}

TEST(Sealed, OpensWithItsPassphraseOnly) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65'535}, size_t{65'536}, size_t{65'537},
                            size_t{300'000}}) {
    std::string plain(size, 'p');
    for (size_t i = 0; i < size; ++i) plain[i] = static_cast<char>(i * 7 + i / 251);
    const std::string sealed = seal(plain, "correct horse");
    const auto opened = unseal(sealed, "correct horse");
    ASSERT_TRUE(opened) << opened.error().text();
    EXPECT_TRUE(*opened == plain) << size;
    const auto refused = unseal(sealed, "correct hors");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kPermissionDenied);
  }
  EXPECT_NE(seal("same", "p"), seal("same", "p")) << "a salt of its own each time";
  EXPECT_EQ(seal(std::string(100, 'q'), "p").find("qq"), std::string::npos);
}

TEST(Sealed, AnyByteThatChangedIsMissingOrFollowsIsFound) {
  const std::string plain = small_archive();
  const std::string sealed = seal(plain, "p");
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
    ASSERT_FALSE(unseal(changed, "p")) << "byte " << i;
    ASSERT_FALSE(unseal(sealed.substr(0, i), "p")) << "cut to " << i;
  }
  EXPECT_FALSE(unseal(sealed + "x", "p"));
}

TEST(Sealed, FramesCannotBeSwappedDroppedOrRepeated) {
  constexpr size_t kHead = 28 + 4 + 16;
  constexpr size_t kFrame = 4 + 65'536 + 16;
  const std::string sealed = seal(std::string(200'000, 'x'), "p");
  const auto frame = [&](size_t i) { return sealed.substr(kHead + i * kFrame, kFrame); };
  const std::string head = sealed.substr(0, kHead);
  const std::string rest = sealed.substr(kHead + 3 * kFrame);
  ASSERT_TRUE(unseal(head + frame(0) + frame(1) + frame(2) + rest, "p"));
  EXPECT_FALSE(unseal(head + frame(1) + frame(0) + frame(2) + rest, "p"));
  EXPECT_FALSE(unseal(head + frame(0) + frame(2) + rest, "p"));
  EXPECT_FALSE(unseal(head + frame(0) + frame(0) + frame(1) + frame(2) + rest, "p"));
  EXPECT_FALSE(unseal(head + frame(0) + frame(1) + frame(2), "p"));
}

TEST(ArchiveFile, SaysWhatItNeeds) {
  const TemporaryDirectory directory = *TemporaryDirectory::make();
  const auto plain = directory.path() / "plain";
  const auto sealed = directory.path() / "sealed";
  ASSERT_TRUE(write_file(plain, small_archive()));
  ASSERT_TRUE(write_file(sealed, seal(small_archive(), "p")));
  EXPECT_EQ(ArchiveFile::open(plain, "p").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ArchiveFile::open(sealed, std::nullopt).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ArchiveFile::open(sealed, "q").error().code(), Code::kPermissionDenied);
  EXPECT_FALSE(ArchiveFile::open(directory.path() / "none", std::nullopt));
  for (const auto& [path, passphrase] :
       {std::pair{plain, std::optional<std::string>()}, {sealed, std::optional<std::string>("p")}}) {
    const auto file = ArchiveFile::open(path, passphrase);
    ASSERT_TRUE(file) << file.error().text();
    EXPECT_TRUE((*file)->reader().header());
    EXPECT_EQ((*file)->sealed(), passphrase.has_value());
  }
  ASSERT_TRUE(write_file(plain, "\nsecond line\n"));
  EXPECT_FALSE(read_passphrase(plain));
  ASSERT_TRUE(write_file(plain, "first line\nsecond line\n"));
  EXPECT_EQ(*read_passphrase(plain), "first line");
}

}  // namespace
}  // namespace frameworks
