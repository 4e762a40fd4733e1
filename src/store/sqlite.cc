#include "store/sqlite.h"

#include <fmt/format.h>

namespace frameworks {
namespace {

Code code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return Code::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return Code::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kDataLoss;
    default:
      return Code::kInternal;
  }
}

Error error_of(sqlite3* connection, int result) {
  const char* file = sqlite3_db_filename(connection, "main");
  return Error(code_of(result), fmt::format("database {}: {}", file != nullptr ? file : "",
                                            sqlite3_errmsg(connection)));
}

}  // namespace

SqliteStatement& SqliteStatement::bind(int index, int64_t value) {
  CHECK(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL.
  CHECK(sqlite3_bind_text64(statement_.get(), index, text.empty() ? "" : text.data(), text.size(),
                            SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::bind_bytes(int index, std::string_view bytes) {
  CHECK(sqlite3_bind_blob64(statement_.get(), index, bytes.empty() ? "" : bytes.data(),
                            bytes.size(), SQLITE_STATIC) == SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::bind_null(int index) {
  CHECK(sqlite3_bind_null(statement_.get(), index) == SQLITE_OK);
  return *this;
}

Result<bool> SqliteStatement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    reset();
    return false;
  }
  Error error = error_of(connection_, result);
  reset();
  return error;
}

Status SqliteStatement::run() {
  while (true) {
    ASSIGN_OR_RETURN(const bool row, step());
    if (!row) return {};
  }
}

void SqliteStatement::reset() { sqlite3_reset(statement_.get()); }

int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view SqliteStatement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::string_view SqliteStatement::bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Result<Sqlite> Sqlite::open(const std::string& name, const char* vfs) {
  sqlite3* handle = nullptr;
  const int result = sqlite3_open_v2(
      name.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, vfs);
  Sqlite connection(handle);
  if (result != SQLITE_OK)
    return Error(code_of(result),
                 fmt::format("open database {}: {}", name, sqlite3_errstr(result)));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 10'000);
  return connection;
}

Status Sqlite::execute(const char* sql) {
  const int result = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(connection_.get(), result);
  return {};
}

Result<SqliteStatement> Sqlite::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return error_of(connection_.get(), result);
  return SqliteStatement(connection_.get(), statement);
}

Result<int64_t> Sqlite::number(std::string_view sql) {
  ASSIGN_OR_RETURN(SqliteStatement statement, prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.step());
  if (!row) return Error(Code::kNotFound, fmt::format("no row for {}", sql));
  return statement.integer(0);
}

Result<SqliteWrite> SqliteWrite::begin(Sqlite& connection) {
  // Immediate: a read lock that is upgraded later fails at once when another connection wrote.
  RETURN_IF_ERROR(connection.execute("BEGIN IMMEDIATE"));
  return SqliteWrite(connection);
}

SqliteWrite::~SqliteWrite() {
  // SQLite may have rolled back by itself (disk full, I/O error).
  if (connection_ != nullptr && sqlite3_get_autocommit(connection_->handle()) == 0)
    (void)connection_->execute("ROLLBACK");
}

Status SqliteWrite::commit() {
  RETURN_IF_ERROR(connection_->execute("COMMIT"));
  connection_ = nullptr;
  return {};
}

}  // namespace frameworks
