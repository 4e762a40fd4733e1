#include "store/postgres.h"

#include <fmt/format.h>
#include <poll.h>

#include <bit>
#include <cstring>

#include "base/clock.h"
#include "base/text.h"

namespace frameworks {
namespace {

// From pg_type.dat; they are part of the protocol and never change.
constexpr Oid kBytea = 17;
constexpr Oid kInt8 = 20;
constexpr Oid kText = 25;
constexpr Oid kByteaArray = 1001;
constexpr Oid kTextArray = 1009;
constexpr Oid kInt8Array = 1016;

template <typename Int>
void append_big_endian(std::string& out, Int value) {
  for (int shift = static_cast<int>(sizeof value) * 8 - 8; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<std::make_unsigned_t<Int>>(value) >> shift & 0xff);
}

std::string int8_bytes(int64_t value) {
  std::string out;
  append_big_endian(out, value);
  return out;
}

struct ParsedOptions {
  std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options{nullptr, PQconninfoFree};
};

Result<ParsedOptions> parse(const std::string& conninfo) {
  char* message = nullptr;
  ParsedOptions out;
  out.options.reset(PQconninfoParse(conninfo.c_str(), &message));
  const std::unique_ptr<char, void (*)(void*)> owned(message, PQfreemem);
  // libpq's message may quote what it could not read, and with it a password.
  if (out.options == nullptr)
    return Error(Code::kInvalidArgument,
                 "the store is no connection string: write postgresql://USER@HOST:PORT/DATABASE");
  return out;
}

std::string_view value_of(const ParsedOptions& parsed, std::string_view keyword) {
  for (const auto* option = parsed.options.get(); option->keyword != nullptr; ++option)
    if (option->keyword == keyword && option->val != nullptr) return option->val;
  return {};
}

// Without "FATAL: " and line breaks.
std::string one_line(const char* text) {
  std::string out(trim(text == nullptr ? "" : text));
  for (char& c : out)
    if (c == '\n' || c == '\t') c = ' ';
  return out;
}

}  // namespace

Code code_of_sqlstate(std::string_view state) {
  const auto is = [&](std::string_view other) { return state == other; };
  const auto of_class = [&](std::string_view other) { return state.starts_with(other); };
  if (state.empty() || of_class("08")) return Code::kUnavailable;  // the connection
  if (is("40001") || is("40P01")) return Code::kAborted;  // serialization failure, deadlock
  if (of_class("40")) return Code::kUnavailable;          // 40003: nobody knows how it ended
  if (is("53100") || is("53200")) return Code::kResourceExhausted;  // disk full, out of memory
  if (of_class("53")) return Code::kUnavailable;                    // too many connections
  // Shut down, crashed, starting; a standby that cannot be written; idle too long.
  if (of_class("57P") || is("25006") || is("25P03")) return Code::kUnavailable;
  if (is("57014") || is("55P03")) return Code::kDeadlineExceeded;  // cancelled, lock not available
  if (of_class("58")) return Code::kUnavailable;                   // I/O error
  if (of_class("28") || is("42501")) return Code::kPermissionDenied;
  if (of_class("3D") || of_class("55")) return Code::kFailedPrecondition;
  if (of_class("22")) return Code::kInvalidArgument;
  if (is("23505")) return Code::kAlreadyExists;
  if (of_class("XX001") || of_class("XX002")) return Code::kDataLoss;
  return Code::kInternal;
}

Result<std::string> without_password(const std::string& conninfo) {
  ASSIGN_OR_RETURN(const ParsedOptions parsed, parse(conninfo));
  const auto value = [&](std::string_view keyword) { return value_of(parsed, keyword); };
  std::string_view host = value("host");
  if (host.empty()) host = value("hostaddr");
  const auto hosts = split(host, ',');
  const auto ports = split(value("port"), ',');
  std::string places;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const std::string& port = ports.size() == 1 ? ports[0] : i < ports.size() ? ports[i] : "";
    places += fmt::format("{}{}{}{}", i == 0 ? "" : ",", hosts[i], port.empty() ? "" : ":", port);
  }
  return fmt::format("postgresql://{}{}{}/{}", value("user"), value("user").empty() ? "" : "@",
                     places, value("dbname"));
}

bool has_password(const std::string& conninfo) {
  const auto parsed = parse(conninfo);
  return parsed &&
         (!value_of(*parsed, "password").empty() || !value_of(*parsed, "sslpassword").empty());
}

PostgresParameters& PostgresParameters::take(Oid type, std::string value) {
  types_.push_back(type);
  values_.push_back(std::move(value));
  return *this;
}

PostgresParameters& PostgresParameters::add(int64_t value) {
  return take(kInt8, int8_bytes(value));
}
PostgresParameters& PostgresParameters::add(std::string_view text) {
  return take(kText, std::string(text));
}
PostgresParameters& PostgresParameters::add_bytes(std::string_view bytes) {
  return take(kBytea, std::string(bytes));
}

// array_send() of PostgreSQL: dimensions, whether there are NULLs, the elements' type; size and
// lower bound of the dimension; then each element with its length, -1 for NULL.
PostgresParameters& PostgresParameters::take_array(Oid type, Oid element,
                                                   std::span<const std::string_view> values) {
  size_t size = 20;
  bool has_null = false;
  for (const std::string_view value : values) {
    size += 4 + value.size();
    has_null |= value.data() == nullptr;
  }
  std::string out;
  out.reserve(size);
  append_big_endian<int32_t>(out, 1);
  append_big_endian<int32_t>(out, has_null ? 1 : 0);
  append_big_endian<uint32_t>(out, element);
  append_big_endian(out, static_cast<int32_t>(values.size()));
  append_big_endian<int32_t>(out, 1);
  for (const std::string_view value : values) {
    append_big_endian(out, value.data() == nullptr ? -1 : static_cast<int32_t>(value.size()));
    out += value;
  }
  return take(type, std::move(out));
}

PostgresParameters& PostgresParameters::add_array(std::span<const int64_t> values) {
  std::string bytes;
  bytes.reserve(values.size() * 8);
  for (const int64_t value : values) append_big_endian(bytes, value);
  std::vector<std::string_view> views;
  views.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    views.push_back(std::string_view(bytes).substr(i * 8, 8));
  return take_array(kInt8Array, kInt8, views);
}
PostgresParameters& PostgresParameters::add_array(std::span<const std::string_view> texts) {
  return take_array(kTextArray, kText, texts);
}
PostgresParameters& PostgresParameters::add_bytes_array(std::span<const std::string_view> values) {
  return take_array(kByteaArray, kBytea, values);
}

int64_t PostgresRows::affected() const {
  const char* text = PQcmdTuples(result_.get());
  return *text == '\0' ? 0 : std::strtoll(text, nullptr, 10);
}

int64_t PostgresRows::integer(int row, int column) const {
  const std::string_view bytes = text(row, column);
  CHECK(bytes.size() == 8);
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<int64_t>(value);
}

std::string_view PostgresRows::text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}

bool PostgresRows::is_null(int row, int column) const {
  return PQgetisnull(result_.get(), row, column) != 0;
}

Result<Postgres> Postgres::connect(const std::string& conninfo) {
  // Later ones win: what the caller says in `dbname` wins over what comes before it. A peer that is
  // gone without a word is noticed within seconds.
  const char* keywords[] = {"connect_timeout",  "tcp_user_timeout",
                            "keepalives_idle",  "keepalives_interval",
                            "keepalives_count", "target_session_attrs",
                            "application_name", "dbname",
                            "client_encoding",  nullptr};
  const char* values[] = {
      "3",    "10000", "5", "2", "3", "read-write", "quartermaster", conninfo.c_str(),
      "UTF8", nullptr};
  Postgres out(PQconnectdbParams(keywords, values, 1));
  PGconn* connection = out.connection_.get();
  if (connection == nullptr) return Error(Code::kResourceExhausted, "database: out of memory");
  if (PQstatus(connection) != CONNECTION_OK)
    return Error(Code::kUnavailable,
                 fmt::format("database: {}", one_line(PQerrorMessage(connection))));
  PQsetnonblocking(connection, 1);
  // Notices ("relation exists, skipping") are of no use to anybody.
  PQsetNoticeReceiver(
      connection, [](void*, const PGresult*) {}, nullptr);
  return out;
}

Error Postgres::lost(std::string_view why) {
  lost_ = true;
  const std::string told = one_line(PQerrorMessage(connection_.get()));
  return {Code::kUnavailable,
          fmt::format("database: {}", why.empty() ? std::string_view(told) : why)};
}

// Sends what is left and reads until the result is whole.
Status Postgres::wait_for_result() {
  const MonoTime deadline = system_clock().mono() + kPatience;
  while (true) {
    const int unsent = PQflush(connection_.get());
    if (unsent < 0) return lost("");
    if (unsent == 0 && PQisBusy(connection_.get()) == 0) return {};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - system_clock().mono());
    if (left.count() <= 0) return lost(fmt::format("no answer within {} s", kPatience.count()));
    pollfd wait{socket(), static_cast<short>(POLLIN | (unsent > 0 ? POLLOUT : 0)), 0};
    if (poll(&wait, 1, static_cast<int>(left.count())) < 0 && errno != EINTR) return lost("");
    if ((wait.revents & ~POLLOUT) != 0 && PQconsumeInput(connection_.get()) == 0) return lost("");
  }
}

// The last of the statement's results, or the first error.
Result<Postgres::ResultPtr> Postgres::last_result() {
  ResultPtr last;
  while (true) {
    RETURN_IF_ERROR(wait_for_result());
    ResultPtr next(PQgetResult(connection_.get()));
    if (next == nullptr) break;
    const bool is_error = last != nullptr && PQresultStatus(last.get()) == PGRES_FATAL_ERROR;
    if (!is_error) last = std::move(next);
  }
  if (last == nullptr) return lost("");
  return check(std::move(last));
}

Result<Postgres::ResultPtr> Postgres::check(ResultPtr result) {
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
    return result;
  const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
  const Code code = code_of_sqlstate(state == nullptr ? "" : state);
  // Also after a word of farewell (shutting down, a standby now): the next connection may find a
  // server that can be written.
  if (code == Code::kUnavailable || PQstatus(connection_.get()) != CONNECTION_OK) lost_ = true;
  return Error(code, fmt::format("database: {}",
                                 one_line(message == nullptr ? PQresultErrorMessage(result.get())
                                                             : message)));
}

Result<PostgresRows> Postgres::execute(const std::string& sql,
                                       const PostgresParameters& parameters) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const std::string& value : parameters.values_) {
    values.push_back(value.data());
    lengths.push_back(static_cast<int>(value.size()));
  }
  const std::vector<int> formats(values.size(), 1);
  if (PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                        parameters.types_.data(), values.data(), lengths.data(), formats.data(),
                        1) == 0)
    return lost("");
  ASSIGN_OR_RETURN(ResultPtr result, last_result());
  return PostgresRows(result.release());
}

Status Postgres::run(const std::string& sql) {
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) return lost("");
  RETURN_IF_ERROR(last_result());
  return {};
}

bool Postgres::is_alive() {
  // A server that says farewell, then hangs up, is read in two turns.
  pollfd readable{socket(), POLLIN, 0};
  while (!lost_ && poll(&readable, 1, 0) > 0)
    if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK)
      lost_ = true;
  return !lost_;
}

Result<bool> Postgres::notified() {
  if (PQconsumeInput(connection_.get()) == 0) return lost("");
  bool others = false;
  while (PGnotify* notify = PQnotifies(connection_.get())) {
    others |= notify->be_pid != PQbackendPID(connection_.get());
    PQfreemem(notify);
  }
  return others;
}

Result<PostgresTransaction> PostgresTransaction::begin(Postgres& connection,
                                                       const std::string& how) {
  RETURN_IF_ERROR(connection.run("BEGIN " + how));
  return PostgresTransaction(connection);
}

PostgresTransaction::~PostgresTransaction() {
  if (connection_ != nullptr && !connection_->is_lost()) (void)connection_->run("ROLLBACK");
}

Status PostgresTransaction::commit() {
  Postgres& connection = *connection_;
  // Over either way: what failed at COMMIT is rolled back, or its fate is unknown.
  connection_ = nullptr;
  return connection.run("COMMIT");
}

}  // namespace frameworks
