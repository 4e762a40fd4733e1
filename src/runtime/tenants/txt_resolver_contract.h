// What every TxtResolver must do: the suite that the real one and the fake pass.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/tenants/txt_resolver.h"

namespace frameworks {

// A zone that the suite asks for. `World` has `TxtResolver& resolver()`, and `void silence()`,
// after which nobody answers. The zone has:
//   one.example.test    TXT "hello"
//   two.example.test    TXT "first", TXT "second"
//   long.example.test   TXT of 300 letters a, which the DNS carries in two parts
//   other.example.test  an address, and no TXT
//   nothing else
template <typename World>
class TxtResolverContract : public ::testing::Test {
 protected:
  using Texts = std::vector<std::string>;
  Result<Texts> find(const std::string& name) {
    auto found = world_.resolver().find_txt(name);
    if (found) std::sort(found->begin(), found->end());
    return found;
  }
  World world_;
};
TYPED_TEST_SUITE_P(TxtResolverContract);

TYPED_TEST_P(TxtResolverContract, AnswersEveryTextOfAName) {
  EXPECT_EQ(this->find("one.example.test").value(), (std::vector<std::string>{"hello"}));
  EXPECT_EQ(this->find("two.example.test").value(), (std::vector<std::string>{"first", "second"}));
}

TYPED_TEST_P(TxtResolverContract, ATextThatWasCutIsWholeAgain) {
  EXPECT_EQ(this->find("long.example.test").value(),
            (std::vector<std::string>{std::string(300, 'a')}));
}

TYPED_TEST_P(TxtResolverContract, WhatSurelyIsNotThereIsNotFound) {
  for (const char* name : {"none.example.test", "other.example.test"}) {
    const auto found = this->find(name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code(), Code::kNotFound) << name << ": " << found.error().text();
  }
}

TYPED_TEST_P(TxtResolverContract, SilenceIsNoAnswer) {
  this->world_.silence();
  const auto found = this->find("one.example.test");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Code::kUnavailable) << found.error().text();
}

REGISTER_TYPED_TEST_SUITE_P(TxtResolverContract, AnswersEveryTextOfAName,
                            ATextThatWasCutIsWholeAgain, WhatSurelyIsNotThereIsNotFound,
                            SilenceIsNoAnswer);

}  // namespace frameworks
