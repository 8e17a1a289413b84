import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** What pgjdbc does with its defaults (sslmode=prefer, gssEncMode=allow), as JSON. */
public class JdbcCheck {
  private static String url(String database) {
    return "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + database;
  }

  private static Connection connect(String database) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", System.getenv("PGUSER"));
    if (System.getenv("PGPASSWORD") != null) properties.setProperty("password", System.getenv("PGPASSWORD"));
    properties.setProperty("ApplicationName", "checked");
    properties.setProperty("loginTimeout", "10");
    return DriverManager.getConnection(url(database), properties);
  }

  private static String one(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getString(1);
    }
  }

  public static void main(String[] arguments) throws Exception {
    StringBuilder out = new StringBuilder("{");
    try (Connection connection = connect(System.getenv("PGDATABASE"))) {
      out.append("\"row\":").append(one(connection, "select 1"));
      out.append(",\"user\":\"").append(one(connection, "select current_user")).append('"');
      out.append(",\"application\":\"").append(one(connection, "select current_setting('application_name')")).append('"');

      long sum = 0;
      try (PreparedStatement statement = connection.prepareStatement("select ?::int + 1")) {
        for (int n = 0; n < 20; n++) {
          statement.setInt(1, n);
          try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            sum += rows.getInt(1);
          }
        }
      }
      out.append(",\"prepared\":").append(sum);

      try (Statement statement = connection.createStatement()) {
        statement.execute("create temp table t (n int, w text)");
        try (PreparedStatement insert = connection.prepareStatement("insert into t values (?, ?)")) {
          for (int n = 0; n < 1000; n++) {
            insert.setInt(1, n);
            insert.setString(2, "batch");
            insert.addBatch();
          }
          out.append(",\"batch\":").append(insert.executeBatch().length);
        }
        StringBuilder rows = new StringBuilder();
        for (int n = 0; n < 50000; n++) rows.append(n).append("\tword\n");
        CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
        out.append(",\"copyIn\":").append(copy.copyIn("copy t from stdin", new StringReader(rows.toString())));
        StringWriter back = new StringWriter();
        out.append(",\"copyOut\":").append(copy.copyOut("copy t to stdout", back));
      }

      connection.setAutoCommit(false);
      int fetched = 0;
      try (Statement statement = connection.createStatement()) {
        statement.setFetchSize(100);
        try (ResultSet rows = statement.executeQuery("select generate_series(1, 5000)")) {
          while (rows.next()) fetched++;
        }
      }
      connection.commit();
      connection.setAutoCommit(true);
      out.append(",\"fetched\":").append(fetched);

      try (Statement statement = connection.createStatement()) {
        Thread thread = new Thread(() -> {
          try {
            Thread.sleep(300);
            statement.cancel();
          } catch (Exception ignored) {
            // The query runs on, and the outcome says so.
          }
        });
        thread.start();
        long begun = System.nanoTime();
        try {
          statement.execute("select pg_sleep(30)");
          out.append(",\"cancel\":null");
        } catch (SQLException error) {
          boolean early = System.nanoTime() - begun < 10_000_000_000L;
          out.append(",\"cancel\":[\"").append(error.getSQLState()).append("\",").append(early).append(']');
        }
        thread.join();
      }
      try {
        one(connection, "select oops");
      } catch (SQLException error) {
        out.append(",\"error\":\"").append(error.getSQLState()).append('"');
      }
      out.append(",\"encrypted\":").append(one(connection, "select ssl from pg_stat_ssl where pid = pg_backend_pid()").equals("t"));
    }
    try (Connection refused = connect("no_such")) {
      out.append(",\"database\":null");
    } catch (SQLException error) {
      out.append(",\"database\":\"").append(error.getSQLState()).append('"');
    }
    System.out.println(out.append('}'));
  }
}
