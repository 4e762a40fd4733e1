#include "store/sealed_fields.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/registry.h"
#include "store/log.h"
#include "store/store.h"

namespace frameworks {
namespace {

pb::Secret secret(const std::string& name, const std::string& key, const std::string& value) {
  pb::Secret out;
  out.mutable_metadata()->set_name(name);
  (*out.mutable_spec()->mutable_data())[key] = value;
  return out;
}

// The store over a real file, so that what is on the disk can be read.
class SealedFields : public ::testing::Test {
 protected:
  SealedFields() { open(); }

  void open() {
    store_.reset();
    auto log = open_sqlite_log((directory_.path() / "fleet.db").string());
    ASSERT_TRUE(log) << log.error().text();
    Store::Options options;
    options.compact_every = 4;
    options.retain = 1;
    options.seal = keys_;
    auto store = Store::open(std::move(*log), clock_, options);
    ASSERT_TRUE(store) << store.error().text();
    store_ = std::move(*store);
  }
  Committed put(Resource resource) {
    auto done = store_->write("account/test", [&](Transaction& t) -> Status {
      t.put(resource);
      return {};
    });
    EXPECT_TRUE(done);
    return std::move(*done);
  }
  Committed put(pb::Secret message) { return put(Resource::of(std::move(message))); }
  Resource stored(const std::string& name) {
    return *store_->snapshot()->find({"Secret", "", name});
  }
  std::string kept(const std::string& name, const std::string& key) {
    return stored(name).as<pb::Secret>().spec().data().at(key);
  }
  std::string opened(const std::string& name, const std::string& key) {
    const auto resource = open_fields(*keys_, stored(name));
    EXPECT_TRUE(resource) << resource.error().message();
    return resource ? resource->as<pb::Secret>().spec().data().at(key) : "";
  }
  // Files of the store that hold the text.
  std::vector<std::string> files_with(const std::string& text) {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      if (read_file(entry.path())->find(text) != std::string::npos)
        out.push_back(entry.path().filename());
    return out;
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  ManualClock clock_;
  std::shared_ptr<const SealKeys> keys_ = std::make_shared<const SealKeys>(SealKeys::make());
  std::unique_ptr<Store> store_;
};

TEST_F(SealedFields, AreSealedInTheSnapshotInChangesAndInTheFiles) {
  const std::string value = "correct-horse-battery";
  const Committed written = put(secret("db", "password", value));
  EXPECT_TRUE(is_sealed(kept("db", "password")));
  EXPECT_EQ(opened("db", "password"), value);
  EXPECT_EQ(written.changes[0].after.message().SerializeAsString().find(value),
            std::string::npos);
  // The name is there, so that the search is known to find what is there.
  EXPECT_FALSE(files_with("password").empty());
  EXPECT_EQ(files_with(value), std::vector<std::string>{});
  for (int i = 0; i < 20; ++i) put(secret("other", "key", "value-" + std::to_string(i)));
  store_.reset();
  EXPECT_EQ(files_with(value), std::vector<std::string>{});
  EXPECT_EQ(files_with("value-19"), std::vector<std::string>{});
  open();
  EXPECT_EQ(opened("db", "password"), value);
  EXPECT_TRUE(check_sealed(*keys_, *store_->snapshot()));
}

TEST_F(SealedFields, TheSameSecretWrittenAgainIsNoChange) {
  put(secret("db", "password", "hunter2"));
  const Revision revision = store_->revision();
  EXPECT_TRUE(put(secret("db", "password", "hunter2")).changes.empty());
  EXPECT_EQ(store_->revision(), revision);
  EXPECT_EQ(put(secret("db", "password", "hunter3")).changes.size(), 1u);
  EXPECT_EQ(opened("db", "password"), "hunter3");
  EXPECT_EQ(stored("db").metadata().generation(), 2);
}

TEST_F(SealedFields, StaySealedWhenSomethingElseOfTheResourceChanges) {
  pb::Secret two = secret("db", "password", "hunter2");
  (*two.mutable_spec()->mutable_data())["user"] = "ada";
  put(two);
  const std::string before = kept("db", "password");
  pb::Secret labelled = stored("db").as<pb::Secret>();
  (*labelled.mutable_metadata()->mutable_labels())["a"] = "b";
  put(labelled);
  EXPECT_EQ(kept("db", "password"), before);
  (*two.mutable_spec()->mutable_data())["user"] = "eve";
  put(two);
  EXPECT_EQ(kept("db", "password"), before);
  EXPECT_EQ(opened("db", "user"), "eve");
}

TEST_F(SealedFields, OfOneSecretAreWorthNothingInAnother) {
  put(secret("db", "password", "hunter2"));
  const std::string stolen = kept("db", "password");
  // Given to another name it is a value like any other, and opens to itself.
  put(secret("mine", "password", stolen));
  EXPECT_NE(kept("mine", "password"), stolen);
  EXPECT_EQ(opened("mine", "password"), stolen);
  put(secret("db", "other", stolen));
  EXPECT_EQ(opened("db", "other"), stolen);
}

TEST_F(SealedFields, ADryRunSealsToo) {
  const auto planned = store_->dry_run(
      [](Transaction& t) -> Status {
        t.put(secret("db", "password", "hunter2"));
        return {};
      },
      nullptr);
  ASSERT_TRUE(planned);
  EXPECT_TRUE(
      is_sealed(planned->changes[0].after.as<pb::Secret>().spec().data().at("password")));
}

TEST_F(SealedFields, EmptyValuesAndOtherKindsAreLeftAlone) {
  put(secret("db", "password", ""));
  EXPECT_EQ(kept("db", "password"), "");
  pb::Tenant tenant;
  tenant.mutable_metadata()->set_name("acme");
  tenant.mutable_spec()->set_display_name("Acme");
  put(Resource::of(tenant));
  EXPECT_EQ(store_->snapshot()->find<pb::Tenant>("acme")->spec().display_name(), "Acme");
  EXPECT_FALSE(has_sealed_fields(kind_of<pb::Tenant>()));
  EXPECT_TRUE(has_sealed_fields(kind_of<pb::Secret>()));
}

TEST_F(SealedFields, ANewKeySealsAnewAndTheOldOneIsNeededNoLonger) {
  put(secret("db", "password", "hunter2"));
  const Resource old = stored("db");
  const SealKeys both = keys_->rotated();
  const auto fresh = reseal_fields(both, old);
  ASSERT_TRUE(fresh);
  keys_ = std::make_shared<const SealKeys>(both);
  open();
  EXPECT_TRUE(check_sealed(both, *store_->snapshot()));
  EXPECT_EQ(put(*fresh).changes.size(), 1u);
  EXPECT_EQ(opened("db", "password"), "hunter2");
  const SealKeys newest = *SealKeys::parse(both.text().substr(0, 74));
  EXPECT_TRUE(check_sealed(newest, *store_->snapshot()));
  EXPECT_FALSE(check_sealed(SealKeys::make(), *store_->snapshot()));
}

TEST_F(SealedFields, AKeyThatIsNotHereIsToldByTheFieldAndNothingIsSealedTwice) {
  put(secret("db", "password", "hunter2"));
  const SealKeys other = SealKeys::make();
  const Status checked = check_sealed(other, *store_->snapshot());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code(), Code::kNotFound);
  EXPECT_TRUE(checked.error().message().starts_with("Secret/db: spec.data.password: is sealed by"));
  const std::string before = kept("db", "password");
  const auto mine = std::exchange(keys_, std::make_shared<const SealKeys>(other));
  open();
  pb::Secret labelled = stored("db").as<pb::Secret>();
  (*labelled.mutable_metadata()->mutable_labels())["a"] = "b";
  put(labelled);
  EXPECT_EQ(kept("db", "password"), before);
  keys_ = mine;
  open();
  EXPECT_EQ(opened("db", "password"), "hunter2");
}

}  // namespace
}  // namespace frameworks
