#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/delta.h"
#include "model/diff.h"
#include "model/documents.h"
#include "model/json.h"
#include "model/pack.h"
#include "model/validate.h"

namespace frameworks {
namespace {

const std::string kTestdata = FW_TESTDATA;

std::string text_of(const std::vector<pb::FieldChange>& changes) {
  std::string out;
  for (const auto& change : changes)
    out += change.field() + ": " + change.before() + " => " + change.after() + "\n";
  return out;
}

Document only_document(std::string_view yaml) {
  auto documents = parse_documents(yaml, "test.yaml");
  CHECK(documents && documents->size() == 1);
  return documents->front();
}

TEST(Kinds, AreFoundByEveryNameAndHaveColumns) {
  for (const Kind& kind : all_kinds()) {
    EXPECT_EQ(find_kind(kind.name), &kind);
    EXPECT_EQ(find_kind(kind.plural), &kind);
    EXPECT_FALSE(kind.columns.empty()) << kind.name;
    for (const std::string& alias : kind.aliases) EXPECT_EQ(find_kind(alias), &kind) << alias;
  }
  EXPECT_EQ(find_kind("SVC"), &kind_of<pb::Service>());
  EXPECT_EQ(find_kind("gizmo"), nullptr);
}

TEST(Kinds, ComeAfterThoseTheyReference) {
  const auto& kinds = all_kinds();
  const auto place = [&](std::string_view name) { return find_kind(name) - kinds.data(); };
  EXPECT_LT(place("Tenant"), place("Cluster"));
  EXPECT_LT(place("Cluster"), place("Grant"));
  EXPECT_LT(place("MachinePool"), place("Node"));
  EXPECT_LT(place("Service"), place("Instance"));
}

// Long streams are parsed in parts, one a processor: nobody sees that.
class LongFile : public testing::Test {
 protected:
  static constexpr int kCount = 4000;
  static constexpr int kLines = 7;  // of a document
  static std::string document(int i) {
    return fmt::format(
        "---\napiVersion: frameworks/v1\nkind: Tenant\nmetadata: {{name: t-{}}}\nspec:\n"
        "  displayName: |\n    --- {}\n",
        i, i);
  }
  static std::string stream() {
    std::string out;
    for (int i = 0; i < kCount; ++i) out += document(i);
    return out;
  }
};

TEST_F(LongFile, HasAllItsDocumentsInOrderAndOnTheirLines) {
  const Reading reading = read_documents(stream(), "long.yaml");
  EXPECT_TRUE(reading.violations.empty()) << reading.violations[0].text();
  ASSERT_EQ(reading.documents.size(), static_cast<size_t>(kCount));
  for (int i = 0; i < kCount; ++i) {
    const Document& document = reading.documents[static_cast<size_t>(i)];
    ASSERT_EQ(document.resource.name(), fmt::format("t-{}", i));
    ASSERT_EQ(document.line, i * kLines + 2);
    ASSERT_EQ(document.lines->find("spec.displayName"), i * kLines + 6);
  }
}

// A directive is for the documents after it: such a stream is one part.
TEST_F(LongFile, TellsItsErrorsAsOneThatIsParsedInOnePart) {
  for (const int bad : {-1, 1, kCount / 2, kCount - 2}) {
    std::string text;
    for (int i = 0; i < kCount; ++i) text += i == bad ? "---\n[\n" : document(i);
    const Reading reading = read_documents(text, "long.yaml");
    const Reading whole = read_documents("%YAML 1.2\n" + text, "long.yaml");
    EXPECT_EQ(reading.documents.size(), static_cast<size_t>(bad < 0 ? kCount : bad));
    EXPECT_EQ(whole.documents.size(), reading.documents.size());
    ASSERT_EQ(reading.violations.size(), bad < 0 ? 0U : 1U);
    ASSERT_EQ(whole.violations.size(), reading.violations.size());
    if (bad < 0) continue;
    EXPECT_EQ(reading.violations[0].line + 1, whole.violations[0].line);
    EXPECT_EQ(reading.violations[0].message, whole.violations[0].message);
  }
}

TEST(Defaults, AreFilledOnceAndStay) {
  auto fleet = load_fleet({kTestdata + "/valid"});
  ASSERT_TRUE(fleet) << fleet.error().text();
  for (const Document& document : *fleet) {
    const Resource once = with_defaults(document.resource);
    const Resource twice = with_defaults(once);
    EXPECT_EQ(once.message().SerializeAsString().size(),
              twice.message().SerializeAsString().size());
    EXPECT_EQ(text_of(diff(&once.message(), &twice.message())), "");
  }
}

TEST(Defaults, DeriveAnIpv6RangeThatShowsTheIpv4Range) {
  pb::Cluster cluster;
  cluster.mutable_spec()->mutable_networks()->set_mesh("10.64.1.0/24");
  apply_defaults(cluster);
  EXPECT_EQ(cluster.spec().networks().mesh6(), "fd66:7261:6d65:4001::/64");
  EXPECT_EQ(cluster.spec().sharing(), pb::SHARING_SHARED);
  cluster.mutable_spec()->mutable_networks()->clear_mesh6();
  cluster.mutable_spec()->mutable_networks()->set_mesh("10.64.1.128/25");
  apply_defaults(cluster);
  EXPECT_NE(cluster.spec().networks().mesh6(), "fd66:7261:6d65:4001::/64");
}

TEST(Documents, ReadEveryShapeOfValue) {
  auto fleet = load_fleet({kTestdata + "/valid"});
  ASSERT_TRUE(fleet) << fleet.error().text();
  ASSERT_EQ(fleet->size(), 7u);
  const auto& tenant = fleet->at(0).resource.as<pb::Tenant>();
  EXPECT_EQ(tenant.metadata().labels().at("size"), "1");
  EXPECT_EQ(tenant.spec().features().at("retention").number_value(), 7);
  EXPECT_TRUE(tenant.spec().features().at("clips").bool_value());
  const auto& pool = fleet->at(3).resource.as<pb::MachinePool>();
  EXPECT_EQ(pool.spec().size().cpus(), 0.5);
  EXPECT_EQ(pool.spec().local().wan_delay().nanos(), 20'000'000);
  const auto& service = fleet->at(4).resource.as<pb::Service>();
  EXPECT_EQ(service.spec().version(), "15");
  EXPECT_TRUE(service.spec().config().at("nested").struct_value().fields().at("on").bool_value());
  EXPECT_EQ(fleet->at(4).line, 29);
  EXPECT_EQ(fleet->at(4).lines->find("spec.checks[0].interval"), 37);
}

TEST(Documents, DropWhatTheSystemWrites) {
  const Document document = only_document(
      "apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: a, uid: u, revision: 4}\n"
      "status: {state: active}\n");
  EXPECT_EQ(document.resource.metadata().uid(), "");
  EXPECT_EQ(document.resource.metadata().revision(), 0);
  EXPECT_FALSE(document.resource.as<pb::Tenant>().has_status());
}

TEST(Documents, OfAFileGivenTwiceAreReadOnce) {
  auto fleet = load_fleet({kTestdata + "/valid", kTestdata + "/valid/fleet.yaml"});
  ASSERT_TRUE(fleet) << fleet.error().text();
  EXPECT_EQ(fleet->size(), 7u);
}

TEST(Documents, OfTwoFilesMayNotShareAName) {
  auto directory = TemporaryDirectory::make();
  ASSERT_TRUE(directory);
  const std::string tenant = "apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: a}\n";
  ASSERT_TRUE(write_file(directory->path() / "a.yaml", tenant));
  ASSERT_TRUE(write_file(directory->path() / "b.yml", "\n" + tenant));
  auto fleet = load_fleet({directory->path().string()});
  ASSERT_FALSE(fleet);
  ASSERT_EQ(fleet.error().violations().size(), 1u);
  const Violation& violation = fleet.error().violations().front();
  EXPECT_TRUE(violation.file.ends_with("b.yml"));
  EXPECT_EQ(violation.line, 4);
  EXPECT_NE(violation.message.find("a.yaml:1"), std::string::npos) << violation.message;
}

TEST(Documents, ThatAreMissingAreNamed) {
  EXPECT_NE(
      load_fleet({"/nonexistent/fleet"}).error().text().find("/nonexistent/fleet: cannot be read"),
      std::string::npos);
}

TEST(Json, ShowsAResourceAsInAFleetFile) {
  const Document document = only_document(
      "apiVersion: frameworks/v1\nkind: Cluster\nmetadata: {name: a}\n"
      "spec: {tier: edge, sharing: customer-managed, location: {latitude: 0.5, longitude: 5}}\n");
  EXPECT_EQ(
      json_text(to_json(document.resource.message())),
      R"({"apiVersion":"frameworks/v1","kind":"Cluster","metadata":{"name":"a"},"spec":)"
      R"({"tier":"edge","location":{"latitude":0.5,"longitude":5},"sharing":"customer-managed"}})");
  EXPECT_EQ(json_text(to_json(pack(document.resource))),
            json_text(to_json(document.resource.message())));
}

TEST(Json, MasksSecretsUnlessTold) {
  pb::Secret secret;
  (*secret.mutable_spec()->mutable_data())["password"] = "hunter2";
  EXPECT_EQ(json_text(to_json(secret.spec())), R"j({"data":{"password":"(secret)"}})j");
  EXPECT_EQ(json_text(to_json(secret.spec(), Secrets::kShow)),
            R"({"data":{"password":"hunter2"}})");
}

TEST(Json, TellsEveryViolationAtOnce) {
  auto json =
      parse_json(R"({"kind":"Node","spec":{"cluster":1,"sshport":2,"sshPort":3000000000}})");
  ASSERT_TRUE(json);
  pb::Node node;
  const Status status = from_json(*json, node);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().text(),
            "3 violations\n"
            "spec.cluster: number 1 where a string is wanted: put it in quotes\n"
            "spec.sshport: unknown field: did you mean \"sshPort\"?\n"
            "spec.sshPort: 3000000000 is out of range: use -2147483648 to 2147483647");
}

TEST(Json, NamesThePlaceOfASyntaxError) {
  EXPECT_NE(parse_json("{\n \"a\": ]}").error().message().find("line 2"), std::string::npos);
  EXPECT_FALSE(parse_json("{} {}"));
  EXPECT_FALSE(parse_json("{"));
  EXPECT_FALSE(parse_json(std::string(100'000, '[')));
}

TEST(Diff, TellsEachFieldThatDiffers) {
  const Document before = only_document(
      "apiVersion: frameworks/v1\nkind: Service\nmetadata: {name: a, labels: {x: '1'}}\n"
      "spec: {role: a, ports: [{name: http, port: 80}], dependsOn: [b]}\n");
  const Document after = only_document(
      "apiVersion: frameworks/v1\nkind: Service\nmetadata: {name: a, labels: {x: '2', 'a b': "
      "'3'}}\n"
      "spec: {role: a, ports: [{name: http, port: 8080}, {name: tls, port: 443}], dependsOn: [b, "
      "c]}\n");
  EXPECT_EQ(text_of(diff(&before.resource.message(), &after.resource.message())),
            "metadata.labels.x: \"1\" => \"2\"\n"
            "metadata.labels[\"a b\"]:  => \"3\"\n"
            "spec.ports[0].port: 80 => 8080\n"
            "spec.ports[1].name:  => \"tls\"\n"
            "spec.ports[1].port:  => 443\n"
            "spec.dependsOn: [\"b\"] => [\"b\",\"c\"]\n");
  EXPECT_EQ(text_of(diff(&after.resource.message(), &after.resource.message())), "");
  EXPECT_EQ(text_of(diff(nullptr, &before.resource.message())).substr(0, 24),
            "metadata.labels.x:  => \"");
}

TEST(Diff, SeesAChangedSecretAndShowsNeither) {
  pb::Secret before;
  pb::Secret after;
  (*before.mutable_spec()->mutable_data())["password"] = "old";
  (*after.mutable_spec()->mutable_data())["password"] = "new";
  EXPECT_EQ(text_of(diff(&before, &after)), "spec.data.password: \"(secret)\" => \"(secret)\"\n");
}

std::string text_of(const Resource& before, const Resource& after) {
  const Delta what = delta(before, after);
  const auto changes = diff(before ? before.kind() : after.kind(), what.before, what.after);
  EXPECT_TRUE(changes) << changes.error().text();
  return text_of(*changes);
}

TEST(Delta, KeepsOnlyWhatDiffers) {
  const Resource before = only_document(
                              "apiVersion: frameworks/v1\nkind: Service\nmetadata: {name: a, "
                              "labels: {x: '1', y: '2'}}\n"
                              "spec: {role: a, ports: [{name: http, port: 80}], dependsOn: [b]}\n")
                              .resource;
  const Resource after =
      only_document(
          "apiVersion: frameworks/v1\nkind: Service\nmetadata: {name: a, labels: {x: '3', y: "
          "'2'}}\n"
          "spec: {role: a, ports: [{name: http, port: 80}], dependsOn: [b, c]}\n")
          .resource;
  EXPECT_EQ(text_of(before, after),
            "metadata.labels.x: \"1\" => \"3\"\nspec.dependsOn: [\"b\"] => [\"b\",\"c\"]\n");
  EXPECT_LT(delta(before, after).after.size(), 24u);
  EXPECT_EQ(delta(before, before).before + delta(before, before).after, "");
  EXPECT_EQ(text_of({}, before),
            "metadata.labels.x:  => \"1\"\nmetadata.labels.y:  => \"2\"\nspec.role:  => \"a\"\n"
            "spec.ports[0].name:  => \"http\"\nspec.ports[0].port:  => 80\n"
            "spec.dependsOn:  => [\"b\"]\n");
}

TEST(Delta, TellsOfAChangedSecretWithoutIt) {
  pb::Secret before;
  before.mutable_metadata()->set_name("db");
  (*before.mutable_spec()->mutable_data())["changed"] = "s3cret-old";
  (*before.mutable_spec()->mutable_data())["same"] = "s3cret-same";
  (*before.mutable_spec()->mutable_data())["gone"] = "s3cret-gone";
  pb::Secret after = before;
  (*after.mutable_spec()->mutable_data())["changed"] = "s3cret-new";
  (*after.mutable_spec()->mutable_data())["added"] = "s3cret-added";
  after.mutable_spec()->mutable_data()->erase("gone");
  const Delta what = delta(Resource::of(before), Resource::of(after));
  EXPECT_EQ((what.before + what.after).find("s3cret"), std::string::npos);
  EXPECT_EQ(text_of(Resource::of(before), Resource::of(after)),
            "spec.data.changed: \"(secret)\" => \"(secret)\"\n"
            "spec.data.gone: \"(secret)\" => \n"
            "spec.data.added:  => \"(secret)\"\n");
}

TEST(Pack, RefusesWhatIsNoKind) {
  google::protobuf::Any any;
  any.set_type_url("type.googleapis.com/frameworks.v1.Limits");
  EXPECT_FALSE(unpack(any));
  any.set_type_url("type.googleapis.com/frameworks.v1.Node");
  any.set_value("\xff\xff");
  EXPECT_FALSE(unpack(any));
}

}  // namespace
}  // namespace frameworks
