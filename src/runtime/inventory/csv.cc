#include <fmt/format.h>

#include <map>
#include <string_view>

#include "model/words.h"
#include "runtime/inventory/formats.h"

namespace frameworks {
namespace {

// RFC 4180, section 2: quoted where a comma, quote or line end is in it. Spreadsheets calculate
// what begins like a formula.
void append_cell(std::string& line, std::string_view text) {
  if (!line.empty()) line += ',';
  const bool formula =
      !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
  if (!formula && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    line += text;
    return;
  }
  line += formula ? "\"'" : "\"";
  for (const char c : text) {
    if (c == '"') line += '"';
    line += c;
  }
  line += '"';
}

std::string labels_text(const pb::Metadata& metadata) {
  std::string out;
  for (const auto& [name, value] :
       std::map<std::string, std::string>(metadata.labels().begin(), metadata.labels().end()))
    out += fmt::format("{}{}={}", out.empty() ? "" : ";", name, value);
  return out;
}

std::string services_text(const Host& host) {
  std::string out;
  for (const auto& instance : host.instances) {
    if (!out.empty()) out += ' ';
    out += instance->spec().service();
  }
  return out;
}

}  // namespace

std::string csv_text(const std::vector<Host>& hosts, Revision revision) {
  std::string out =
      "name,cluster,tier,region,address,ssh_port,ssh_user,mesh_address,mesh_address6,state,"
      "availability,services,labels,revision\r\n";
  for (const Host& host : hosts) {
    const pb::NodeSpec& spec = host.node->spec();
    std::string line = host.node->metadata().name();
    append_cell(line, spec.cluster());
    append_cell(line, word(host.cluster->spec().tier()));
    append_cell(line, host.cluster->spec().region());
    append_cell(line, spec.address());
    append_cell(line, std::to_string(spec.ssh_port() == 0 ? 22 : spec.ssh_port()));
    append_cell(line, spec.ssh_user().empty() ? "root" : spec.ssh_user());
    append_cell(line, spec.mesh_address());
    append_cell(line, spec.mesh_address6());
    append_cell(line, word(health_of(*host.node)));
    append_cell(line, word(spec.availability()));
    append_cell(line, services_text(host));
    append_cell(line, labels_text(host.node->metadata()));
    append_cell(line, std::to_string(revision));
    out += line;
    out += "\r\n";
  }
  return out;
}

}  // namespace frameworks
