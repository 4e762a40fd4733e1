// SQLite behind Result: a connection and its prepared statements. Used by one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace frameworks {

class SqliteStatement {
 public:
  // Parameters count from 1. Text and bytes must live until the next step() has returned.
  SqliteStatement& bind(int index, int64_t value);
  SqliteStatement& bind(int index, std::string_view text);
  SqliteStatement& bind_bytes(int index, std::string_view bytes);
  SqliteStatement& bind_null(int index);

  // True: there is a row. The statement is reset when there is none, and on errors.
  Result<bool> step();
  // Steps to the end, without looking at rows.
  Status run();
  void reset();

  // Columns count from 0; views live until the next step or reset.
  [[nodiscard]] int64_t integer(int column) const;
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] std::string_view bytes(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Sqlite;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  SqliteStatement(sqlite3* connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}

  sqlite3* connection_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Sqlite {
 public:
  // `name` is a file or a "file:" URI; `vfs` one of SQLite's, null: the system's, or the URI's. Waits
  // up to ten seconds for locks of other connections.
  static Result<Sqlite> open(const std::string& name, const char* vfs = nullptr);

  Status execute(const char* sql);
  // The statement must not outlive the connection.
  Result<SqliteStatement> prepare(std::string_view sql);
  // The single number that the query yields; kNotFound when there is no row.
  Result<int64_t> number(std::string_view sql);
  [[nodiscard]] sqlite3* handle() const { return connection_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  explicit Sqlite(sqlite3* connection) : connection_(connection) {}

  std::unique_ptr<sqlite3, Close> connection_;
};

// A transaction that holds the write lock; rolled back unless committed.
class SqliteWrite {
 public:
  static Result<SqliteWrite> begin(Sqlite& connection);
  SqliteWrite(SqliteWrite&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  SqliteWrite& operator=(SqliteWrite&&) = delete;
  ~SqliteWrite();
  Status commit();

 private:
  explicit SqliteWrite(Sqlite& connection) : connection_(&connection) {}
  Sqlite* connection_;
};

}  // namespace frameworks
