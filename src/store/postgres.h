// libpq behind Result: a connection, its parameters and rows. Used by one thread at a time.
//
// Values travel in binary form in both directions: bytes as they are, integers as int8.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace frameworks {

// What SQLSTATE `state` (five characters, or empty: the connection was lost) means for a caller.
// kAborted: another transaction was in the way, and nothing was written.
Code code_of_sqlstate(std::string_view state);

// "postgresql://fleet@db-1:5432,db-2:5432/fleet" without a password, for logs; also of the form
// "host=db-1 password=...". kInvalidArgument: cannot be read.
Result<std::string> without_password(const std::string& conninfo);
// Whether the text itself has a password in it: such a text must not be in a list of processes.
bool has_password(const std::string& conninfo);

// The values $1, $2, ... of one statement. Arrays are for unnest().
class PostgresParameters {
 public:
  PostgresParameters& add(int64_t value);
  PostgresParameters& add(std::string_view text);
  PostgresParameters& add_bytes(std::string_view bytes);
  PostgresParameters& add_array(std::span<const int64_t> values);
  PostgresParameters& add_array(std::span<const std::string_view> texts);
  // A view without data (nullptr) is NULL.
  PostgresParameters& add_bytes_array(std::span<const std::string_view> values);

 private:
  friend class Postgres;
  PostgresParameters& take(Oid type, std::string value);
  PostgresParameters& take_array(Oid type, Oid element, std::span<const std::string_view> values);

  std::vector<Oid> types_;
  std::vector<std::string> values_;
};

class PostgresRows {
 public:
  explicit PostgresRows(PGresult* result) : result_(result) {}

  [[nodiscard]] int count() const { return PQntuples(result_.get()); }
  // Rows that an INSERT, UPDATE or DELETE touched.
  [[nodiscard]] int64_t affected() const;
  // Columns count from 0; views live as long as the rows. integer() is for int8 alone.
  [[nodiscard]] int64_t integer(int row, int column) const;
  [[nodiscard]] std::string_view text(int row, int column) const;
  [[nodiscard]] bool is_null(int row, int column) const;

 private:
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

class Postgres {
 public:
  // `conninfo` is a URI or "key=value ..."; it may name several hosts, of which the one that can be
  // written is taken (unless it says otherwise). kUnavailable: none of them now.
  static Result<Postgres> connect(const std::string& conninfo);

  // One statement, which commits by itself outside a transaction. An error of the connection
  // (is_lost()) does not tell whether it was done.
  Result<PostgresRows> execute(const std::string& sql, const PostgresParameters& parameters = {});
  // Several statements, without parameters or rows.
  Status run(const std::string& sql);
  // Of no use any more: connect again.
  [[nodiscard]] bool is_lost() const { return lost_; }
  // Between statements: whether the server has not hung up meanwhile. Never waits.
  bool is_alive();

  // Whether another session notified since the last call on a channel that LISTEN was said for.
  Result<bool> notified();
  // To be polled for reading.
  [[nodiscard]] int socket() const { return PQsocket(connection_.get()); }

  // How long a statement may take before the connection is given up.
  static constexpr std::chrono::seconds kPatience{15};

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  struct Cleared {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  using ResultPtr = std::unique_ptr<PGresult, Cleared>;

  explicit Postgres(PGconn* connection) : connection_(connection) {}
  Status wait_for_result();
  Result<ResultPtr> last_result();
  Result<ResultPtr> check(ResultPtr result);
  Error lost(std::string_view why);

  std::unique_ptr<PGconn, Finish> connection_;
  bool lost_ = false;
};

// BEGIN ... COMMIT; rolled back unless committed.
class PostgresTransaction {
 public:
  // `how`: "" or "ISOLATION LEVEL ...".
  static Result<PostgresTransaction> begin(Postgres& connection, const std::string& how = "");
  PostgresTransaction(PostgresTransaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  PostgresTransaction& operator=(PostgresTransaction&& other) noexcept {
    std::swap(connection_, other.connection_);
    return *this;
  }
  ~PostgresTransaction();
  Status commit();
  // Whoever asks for this ends it.
  void keep() { connection_ = nullptr; }

 private:
  explicit PostgresTransaction(Postgres& connection) : connection_(&connection) {}
  Postgres* connection_;
};

}  // namespace frameworks
