// What of the collection frameworks.infra can be seen without machines; the rest is seen by the
// tests of the whole fleet.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/process.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

Result<std::string> playbook(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv{"ansible-playbook"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return run_checked({.argv = argv,
                      .environment = {{"ANSIBLE_COLLECTIONS_PATH", FW_COLLECTIONS},
                                      {"ANSIBLE_STDOUT_CALLBACK", "frameworks.infra.events"},
                                      {"LC_ALL", "C.UTF-8"}}});
}

TEST(Collection, ThePlaybookParses) {
  const auto parsed = playbook({"--syntax-check", "frameworks.infra.site"});
  EXPECT_TRUE(parsed) << parsed.error().text();
}

constexpr std::string_view kPlaybook = R"(---
- name: Try
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    wanted: &wanted
      directories:
        - {path: "{{ there }}/sub/folder", mode: "0750", owner: "{{ owner }}", group: "{{ group }}"}
      files:
        - {path: "{{ there }}/sub/file", content: "one\n", mode: "0600", owner: "{{ owner }}", group: "{{ group }}"}
        - {path: "{{ there }}/token", content: "t", unless_exists: "{{ there }}/sub/file", owner: "{{ owner }}", group: "{{ group }}"}
  tasks:
    - {name: First, frameworks.infra.files: *wanted, register: first}
    - {name: Second, frameworks.infra.files: *wanted, register: second}
    - {name: Give, frameworks.infra.versions: {packages: ["no-such-package=1.2*"], notes: "{{ there }}/notes"}, register: given}
    - {name: Take back, frameworks.infra.versions: {packages: [no-such-package], notes: "{{ there }}/notes"}, register: taken_back}
    - {name: As ever, frameworks.infra.versions: {packages: [no-such-package], notes: "{{ there }}/notes"}, register: as_ever}
    - name: Check
      ansible.builtin.assert:
        that:
          - first is changed
          - first.paths | length == 2
          - second is not changed
          - packages == ["libnginx-mod-rtmp", "nginx=1.22*"]
          - given.packages == ["no-such-package=1.2*"]
          - taken_back.packages == ["no-such-package"]
          - taken_back is changed
          - as_ever.packages == ["no-such-package"]
          - as_ever is not changed
          - units == ["nginx.service", "redis-server.service"]
      vars:
        packages: "{{ [{'role': 'nginx_rtmp', 'version': '1.22'}] | frameworks.infra.packages }}"
        units: "{{ [{'role': 'redis'}, {'role': 'nginx_rtmp'}] | frameworks.infra.units }}"
)";

TEST(Collection, FilesAreMadeOnceAndPackagesAreCollectedFromRoles) {
  const auto directory = TemporaryDirectory::make();
  ASSERT_TRUE(directory);
  const fs::path book = directory->path() / "book.yml";
  ASSERT_TRUE(write_file(book, kPlaybook));
  const auto ran = playbook({"-i", "localhost,", "-e", "there=" + directory->path().string(), "-e",
                             "owner=" + std::to_string(geteuid()), "-e",
                             "group=" + std::to_string(getegid()), book.string()});
  ASSERT_TRUE(ran) << ran.error().text();
  EXPECT_EQ(read_file(directory->path() / "sub/file").value_or(""), "one\n");
  EXPECT_EQ(fs::status(directory->path() / "sub/file").permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(fs::exists(directory->path() / "token"));
}

}  // namespace
}  // namespace frameworks
