#include "machine/provisioning/fake_machines.h"
#include "machine/provisioning/machines_contract.h"

namespace frameworks::provisioning {
namespace {

class FakeUnderTest final : public MachinesUnderTest {
 public:
  std::string why_not() override { return ""; }
  Machines& machines() override { return fake_; }

 private:
  FakeMachines fake_;
};

INSTANTIATE_TEST_SUITE_P(Fake, MachinesContract,
                         testing::Values([] { return std::make_unique<FakeUnderTest>(); }));

TEST(FakeMachines, FailsOnceWhenToldTo) {
  FakeMachines fake;
  fake.fail_next(Error(Code::kUnavailable, "away"));
  EXPECT_EQ(fake.remove("edge-1").error().code(), Code::kUnavailable);
  EXPECT_TRUE(fake.remove("edge-1"));
}

TEST(MachineRules, NamesEveryViolationAtOnce) {
  v1::MachineSpec spec;
  spec.set_name("a_b");
  spec.set_region("eu");
  spec.set_address("10.0.0.1/33");
  spec.set_memory_mb(1);
  spec.add_authorized_keys("two\nlines of keys");
  const Status checked = check_machine(spec);
  ASSERT_FALSE(checked);
  std::vector<std::string> fields;
  for (const Violation& violation : checked.error().violations()) fields.push_back(violation.field);
  EXPECT_EQ(fields,
            (std::vector<std::string>{"name", "address", "memory_mb", "authorized_keys[0]"}));
}

}  // namespace
}  // namespace frameworks::provisioning
