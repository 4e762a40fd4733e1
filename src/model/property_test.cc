#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>

#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/options.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/delta.h"
#include "model/diff.h"
#include "model/documents.h"
#include "model/json.h"
#include "model/pack.h"
#include "model/snapshot.h"
#include "model/tree.h"
#include "model/yaml_tree.h"

namespace frameworks {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;
using google::protobuf::util::MessageDifferencer;

// Text with quotes, colons, newlines and more than ASCII: what breaks writers.
std::string any_text() {
  static const std::vector<std::string> kPieces = {"a",  "Z",  "7",    "-",    ":",   " ",
                                                   "\"", "'",  "\n",   "#",    "é",   "{",
                                                   "]",  "\\", "true", "null", "0x1", "~"};
  std::string out;
  for (const auto& piece :
       *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(kPieces)))
    out += piece;
  return out;
}

google::protobuf::Value any_value(int depth) {
  google::protobuf::Value out;
  switch (*rc::gen::inRange(0, depth > 2 ? 4 : 6)) {
    case 0:
      out.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case 1:
      out.set_bool_value(*rc::gen::arbitrary<bool>());
      break;
    case 2:
      out.set_number_value(*rc::gen::inRange(-1'000'000, 1'000'000) / 8.0);
      break;
    case 3:
      out.set_string_value(any_text());
      break;
    case 4:
      out.mutable_list_value();
      for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
        *out.mutable_list_value()->add_values() = any_value(depth + 1);
      break;
    default:
      out.mutable_struct_value();
      for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
        (*out.mutable_struct_value()->mutable_fields())[any_text()] = any_value(depth + 1);
  }
  return out;
}

void fill(Message& message, int depth);

bool fill_well_known(Message& message) {
  if (auto* value = dynamic_cast<google::protobuf::Value*>(&message)) {
    *value = any_value(0);
  } else if (auto* duration = dynamic_cast<google::protobuf::Duration*>(&message)) {
    // Up to 2^53 ns, which durations as text hold exactly.
    const int64_t ns = *rc::gen::inRange<int64_t>(-(int64_t{1} << 53), int64_t{1} << 53);
    duration->set_seconds(ns / 1'000'000'000);
    duration->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
  } else if (auto* time = dynamic_cast<google::protobuf::Timestamp*>(&message)) {
    time->set_seconds(*rc::gen::inRange<int64_t>(0, 4'000'000'000));
    time->set_nanos(*rc::gen::inRange(0, 1'000'000'000));
  } else {
    return false;
  }
  return true;
}

void fill_scalar(Message& message, const FieldDescriptor& field) {
  const Reflection& r = *message.GetReflection();
  const auto put = [&](auto set, auto add, auto value) {
    if (field.is_repeated())
      (r.*add)(&message, &field, value);
    else
      (r.*set)(&message, &field, value);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return put(&Reflection::SetBool, &Reflection::AddBool, *rc::gen::arbitrary<bool>());
    case FieldDescriptor::CPPTYPE_INT32:
      return put(&Reflection::SetInt32, &Reflection::AddInt32, *rc::gen::arbitrary<int32_t>());
    case FieldDescriptor::CPPTYPE_INT64:
      return put(&Reflection::SetInt64, &Reflection::AddInt64, *rc::gen::arbitrary<int64_t>());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return put(&Reflection::SetDouble, &Reflection::AddDouble,
                 *rc::gen::inRange(-1'000'000, 1'000'000) / 16.0);
    case FieldDescriptor::CPPTYPE_ENUM:
      return put(&Reflection::SetEnumValue, &Reflection::AddEnumValue,
                 field.enum_type()
                     ->value(*rc::gen::inRange(1, field.enum_type()->value_count()))
                     ->number());
    case FieldDescriptor::CPPTYPE_STRING:
      if (field.is_repeated())
        r.AddString(&message, &field, any_text());
      else
        r.SetString(&message, &field, any_text());
      return;
    default:
      RC_FAIL("the generator does not know the type of " + field.full_name());
  }
}

void fill(Message& message, int depth) {
  if (fill_well_known(message)) return;
  const auto& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.options().GetExtension(pb::rules).secret() || *rc::gen::arbitrary<bool>()) continue;
    for (int n = field.is_repeated() ? *rc::gen::inRange(0, 3) : 1; n > 0; --n) {
      if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        fill_scalar(message, field);
        continue;
      }
      Message& inner = field.is_repeated()
                           ? *message.GetReflection()->AddMessage(&message, &field)
                           : *message.GetReflection()->MutableMessage(&message, &field);
      if (!field.is_map()) {
        fill(inner, depth + 1);
        continue;
      }
      const auto* value = inner.GetDescriptor()->map_value();
      fill_scalar(inner, *inner.GetDescriptor()->map_key());
      if (value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
        fill(*inner.GetReflection()->MutableMessage(&inner, value), depth + 1);
      else
        fill_scalar(inner, *value);
    }
  }
}

// A map's entries made by reflection may repeat a key; the wire form settles them.
std::unique_ptr<Message> any_message(const Kind& kind) {
  const std::unique_ptr<Message> message = kind.make();
  fill(*message, 0);
  std::unique_ptr<Message> out = kind.make();
  RC_ASSERT(out->ParseFromString(message->SerializeAsString()));
  return out;
}

// Set to something that can be searched for, wherever there is a secret.
void mark_secrets(Message& message, const std::string& mark) {
  const auto* type = message.GetDescriptor();
  const auto* r = message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const bool secret = field->options().GetExtension(pb::rules).secret();
    if (secret && !field->is_repeated()) {
      r->SetString(&message, field, mark);
    } else if (secret && field->is_map()) {
      for (int k = 0; k < r->FieldSize(message, field); ++k) {
        Message* pair = r->MutableRepeatedMessage(&message, field, k);
        pair->GetReflection()->SetString(pair, field->message_type()->map_value(), mark);
      }
    } else if (field->message_type() != nullptr && !field->is_map()) {
      if (field->is_repeated()) {
        for (int k = 0; k < r->FieldSize(message, field); ++k)
          mark_secrets(*r->MutableRepeatedMessage(&message, field, k), mark);
      } else if (r->HasField(message, field)) {
        mark_secrets(*r->MutableMessage(&message, field), mark);
      }
    }
  }
}

// What a delta tells is what the diff of the whole messages tells, of every kind; and no secret.
TEST(DeltaProperty, TellsWhatTheWholeDiffTells) {
  for (const Kind& kind : all_kinds()) {
    EXPECT_TRUE(rc::check(kind.name + ": delta and diff agree", [&] {
      std::shared_ptr<Message> before = any_message(kind);
      std::shared_ptr<Message> after = any_message(kind);
      mark_secrets(*before, "s3cret-a");
      mark_secrets(*after, "s3cret-b");
      if (*rc::gen::arbitrary<bool>()) after->MergeFrom(*before);
      const auto bytes = [&](const Message& message) { return deterministic_bytes(message); };
      const Delta what = delta(Resource(kind, before), Resource(kind, after));
      RC_ASSERT(what.before.find("s3cret") == std::string::npos);
      RC_ASSERT(what.after.find("s3cret") == std::string::npos);
      const Delta long_way = delta_by_reflection(Resource(kind, before), Resource(kind, after));
      RC_ASSERT(what.before == long_way.before && what.after == long_way.after);
      RC_ASSERT(what.status_only == long_way.status_only);
      RC_ASSERT(what.status_left_out == long_way.status_left_out);
      for (const Resource& gone : {Resource(kind, before), Resource()}) {
        const Resource come = gone ? Resource() : Resource(kind, after);
        RC_ASSERT(delta(gone, come).before == delta_by_reflection(gone, come).before);
        RC_ASSERT(delta(gone, come).after == delta_by_reflection(gone, come).after);
      }
      auto told = diff(kind, what.before, what.after);
      if (!told) RC_FAIL(told.error().text());
      const auto status = kind.descriptor->FindFieldByName("status");
      if (what.status_left_out) {
        before->GetReflection()->ClearField(before.get(), status);
        after->GetReflection()->ClearField(after.get(), status);
      }
      auto whole = diff_all(*before, *after);
      RC_ASSERT(told->size() == whole.size());
      // A field that the delta has on one side only is told later than in the whole.
      for (auto* changes : {&*told, &whole})
        std::sort(changes->begin(), changes->end(),
                  [](const auto& a, const auto& b) { return a.field() < b.field(); });
      for (size_t i = 0; i < whole.size(); ++i)
        if (bytes((*told)[i]) != bytes(whole[i]))
          RC_FAIL((*told)[i].DebugString() + "\n" + whole[i].DebugString());
    }));
  }
}

TEST(JsonProperty, EveryKindSurvivesTheRoundTripThroughJsonAndYaml) {
  for (const Kind& kind : all_kinds()) {
    EXPECT_TRUE(rc::check(kind.name + " comes back as it was", [&] {
      const std::unique_ptr<Message> message = any_message(kind);
      const boost::json::value json = to_json(*message);
      const auto parsed =
          parse_json(*rc::gen::arbitrary<bool>() ? json_text(json) : pretty_json(json));
      RC_ASSERT(parsed.has_value());
      const std::unique_ptr<Message> back = kind.make();
      const Status status = from_json(*parsed, *back);
      if (!status) RC_FAIL(status.error().text());
      RC_ASSERT(MessageDifferencer::Equals(*message, *back));
      RC_ASSERT(diff(message.get(), back.get()).empty());

      const YamlStream yaml = parse_yaml(yaml_text(json));
      if (!yaml.violations.empty()) RC_FAIL(yaml.violations[0].text() + "\n" + yaml_text(json));
      RC_ASSERT(yaml.documents.size() == 1u);
      const std::unique_ptr<Message> from_yaml = kind.make();
      TreeProblems problems;
      read_message(yaml.documents[0], *from_yaml, problems);
      if (!problems.violations.empty()) RC_FAIL(problems.violations[0].text());
      RC_ASSERT(MessageDifferencer::Equals(*message, *from_yaml));

      const auto packed =
          unpack(pack(Resource(kind, std::shared_ptr<const Message>(any_message(kind)))));
      RC_ASSERT(packed.has_value());
    }));
  }
}

TEST(JsonProperty, NoTextBreaksAParser) {
  EXPECT_TRUE(rc::check("parsers answer every text", [] {
    const std::string text = any_text();
    parse_yaml(text);
    read_documents(text, "x.yaml");
    if (const auto json = parse_json(text)) {
      pb::Node node;
      const Status status = from_json(*json, node);
      RC_TAG(status.has_value());
    }
  }));
}

struct Write {
  int name;
  int cluster;
  bool remove;
};

Resource node(int name, int cluster) {
  pb::Node out;
  out.mutable_metadata()->set_name("n" + std::to_string(name));
  out.mutable_spec()->set_cluster("c" + std::to_string(cluster));
  return Resource::of(std::move(out));
}

std::vector<Write> any_writes() {
  return *rc::gen::container<std::vector<Write>>(rc::gen::map(
      rc::gen::tuple(rc::gen::inRange(0, 40), rc::gen::inRange(0, 5), rc::gen::inRange(0, 3)),
      [](const auto& t) {
        return Write{std::get<0>(t), std::get<1>(t), std::get<2>(t) == 0};
      }));
}

void write(Snapshot& snapshot, const Write& write) {
  if (write.remove)
    snapshot.remove({"Node", "", "n" + std::to_string(write.name)});
  else
    snapshot.put(node(write.name, write.cluster));
}

void expect_same(const Snapshot& snapshot, const std::map<std::string, std::string>& model) {
  std::map<std::string, std::string> seen;
  std::string last;
  for (const auto& each : snapshot.list<pb::Node>()) {
    RC_ASSERT(last < each->metadata().name());
    last = each->metadata().name();
    seen[last] = each->spec().cluster();
  }
  RC_ASSERT(seen == model);
  RC_ASSERT(snapshot.count(kind_of<pb::Node>()) == model.size());
  for (int cluster = 0; cluster < 5; ++cluster) {
    const std::string name = "c" + std::to_string(cluster);
    std::vector<std::string> wanted;
    for (const auto& [node, in] : model)
      if (in == name) wanted.push_back(node);
    std::vector<std::string> found;
    for (const auto& each : snapshot.find_by<pb::Node>("cluster", name))
      found.push_back(each->metadata().name());
    RC_ASSERT(found == wanted);
  }
}

TEST(SnapshotProperty, BehavesLikeAMapAndNeverChangesWhatWasCopied) {
  EXPECT_TRUE(rc::check("snapshots against a map", [] {
    Snapshot snapshot;
    std::map<std::string, std::string> model;
    std::vector<std::pair<Snapshot, std::map<std::string, std::string>>> kept;
    for (const Write& each : any_writes()) {
      if (*rc::gen::inRange(0, 4) == 0) kept.emplace_back(snapshot, model);
      write(snapshot, each);
      const std::string name = "n" + std::to_string(each.name);
      if (each.remove)
        model.erase(name);
      else
        model[name] = "c" + std::to_string(each.cluster);
      const auto* found = snapshot.find<pb::Node>(name);
      RC_ASSERT((found == nullptr) == each.remove);
    }
    expect_same(snapshot, model);
    for (const auto& [copy, then] : kept) expect_same(copy, then);
  }));
}

// The trees have several levels here; copies and releases in the midst.
TEST(SnapshotProperty, BehavesLikeAMapWithThousandsOfResources) {
  EXPECT_TRUE(rc::check("large snapshots against a map", [] {
    Snapshot snapshot;
    std::map<std::string, std::string> model;
    std::vector<std::pair<Snapshot, std::map<std::string, std::string>>> kept;
    std::vector<std::vector<std::unique_ptr<const Resource>>> released;
    uint64_t random = *rc::gen::arbitrary<uint64_t>() | 1;
    const auto next = [&](uint64_t below) {
      random = random * 6364136223846793005 + 1442695040888963407;
      return static_cast<int>((random >> 33) % below);
    };
    for (int i = 0; i < 6'000; ++i) {
      const Write each{next(2'500), next(5), next(i < 4'000 ? 5 : 2) == 0};
      write(snapshot, each);
      const std::string name = "n" + std::to_string(each.name);
      if (each.remove)
        model.erase(name);
      else
        model[name] = "c" + std::to_string(each.cluster);
      if (next(1'000) == 0) kept.emplace_back(snapshot, model);
      if (next(2'000) == 0) released.push_back(snapshot.release_messages());
    }
    expect_same(snapshot, model);
    for (const auto& [copy, then] : kept) expect_same(copy, then);
    for (int i = 0; i < 2'500; ++i) {
      const std::string name = "n" + std::to_string(i);
      RC_ASSERT((snapshot.find<pb::Node>(name) != nullptr) == model.contains(name));
    }
  }));
}

TEST(SnapshotProperty, IsIndependentOfTheOrderOfWrites) {
  EXPECT_TRUE(rc::check("order of distinct names", [] {
    std::map<int, Write> distinct;
    for (const Write& each : any_writes()) distinct[each.name] = each;
    std::vector<Write> writes;
    for (const auto& [name, each] : distinct) writes.push_back(each);
    Snapshot forward;
    for (const Write& each : writes) write(forward, each);
    Snapshot backward;
    for (auto at = writes.rbegin(); at != writes.rend(); ++at) write(backward, *at);
    const auto a = forward.list(kind_of<pb::Node>());
    const auto b = backward.list(kind_of<pb::Node>());
    RC_ASSERT(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      RC_ASSERT(a[i].key() == b[i].key());
      RC_ASSERT(MessageDifferencer::Equals(a[i].message(), b[i].message()));
    }
  }));
}

}  // namespace
}  // namespace frameworks
