// pgjdbc: extended, simple, binary transfer and fetch size, batches, COPY, DatabaseMetaData. Run as a single-file program.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.postgresql.copy.CopyManager;
import org.postgresql.core.BaseConnection;

public final class Matrix {
  interface Run { List<List<String>> get() throws Exception; }

  private static Connection link;
  private static Properties properties;
  private static String url;

  // Lines on stdin, so that no JSON library is needed: target, then per case name, sql, and parameters typed i: or s: or n:, ended by an empty line.
  public static void main(String[] args) throws Exception {
    String[] all = new String(System.in.readAllBytes(), "UTF-8").split("\n", -1);
    String[] t = all[0].split("\t");
    url = "jdbc:postgresql://" + t[0] + ":" + t[1] + "/" + t[4];
    properties = new Properties();
    properties.setProperty("user", t[2]);
    properties.setProperty("password", t[3]);
    properties.setProperty("sslmode", t[5]);
    for (String more : args) { properties.setProperty(more.split("=")[0], more.split("=")[1]); }
    link = DriverManager.getConnection(url, properties);
    int at = 1;
    while (at < all.length && !all[at].isEmpty()) {
      String name = all[at++];
      String sql = all[at++];
      List<Object> values = new ArrayList<>();
      while (!all[at].isEmpty()) {
        String v = all[at++];
        values.add(v.startsWith("i:") ? (Object) Integer.valueOf(v.substring(2)) : v.startsWith("n:") ? null : v.substring(2));
      }
      at++;
      report(name, () -> rows(sql, values));
    }
    specials();
    link.close();
  }

  private static void specials() {
    report("fetch size", () -> fetched("SELECT id, name FROM things ORDER BY id"));
    report("prepared", Matrix::prepared);
    report("batch", Matrix::batch);
    report("copy out", () -> copyOut("COPY things TO STDOUT (FORMAT csv)"));
    report("copy in", Matrix::copyIn);
    report("transaction", Matrix::transaction);
    report("metadata tables", () -> all(link.getMetaData().getTables(null, "public", "%", null), 3, 4));
    report("metadata columns", () -> all(link.getMetaData().getColumns(null, "public", "%", "%"), 3, 4, 5, 6, 18));
    report("metadata keys", Matrix::keys);
    report("metadata types", () -> all(link.getMetaData().getTypeInfo(), 1, 2));
    report("metadata schemas", () -> all(link.getMetaData().getSchemas(), 1));
    report("generated keys", Matrix::generated);
    report("updatable", Matrix::updatable);
    report("masked fetch size", () -> fetched("SELECT id, email, ssn, dob FROM people"));
    report("masked metadata", () -> all(link.getMetaData().getColumns(null, null, "people", "%"), 4, 6));
  }

  private static String placeholders(String sql, List<Integer> order) {
    Matcher m = Pattern.compile("\\{(\\d+)\\}").matcher(sql);
    StringBuilder out = new StringBuilder();
    while (m.find()) { order.add(Integer.valueOf(m.group(1))); m.appendReplacement(out, "?"); }
    m.appendTail(out);
    return out.toString();
  }

  private static List<List<String>> rows(String sql, List<Object> values) throws SQLException {
    List<Integer> order = new ArrayList<>();
    try (PreparedStatement s = link.prepareStatement(placeholders(sql, order))) {
      for (int n = 0; n < order.size(); n++) { s.setObject(n + 1, values.get(order.get(n) - 1)); }
      if (s.execute()) { return all(s.getResultSet()); }
      return List.of(List.of("updated " + s.getUpdateCount()));
    }
  }

  private static List<List<String>> all(ResultSet r, int... wanted) throws SQLException {
    List<List<String>> found = new ArrayList<>();
    int width = r.getMetaData().getColumnCount();
    while (r.next()) {
      List<String> row = new ArrayList<>();
      if (wanted.length == 0) { for (int n = 1; n <= width; n++) { row.add(cell(r, n)); } }
      for (int n : wanted) { row.add(r.getString(n)); }
      found.add(row);
    }
    return found;
  }

  private static String cell(ResultSet r, int n) throws SQLException {
    boolean bytes = "bytea".equals(r.getMetaData().getColumnTypeName(n));
    return bytes && r.getBytes(n) != null ? java.util.Arrays.toString(r.getBytes(n)) : r.getString(n);
  }

  private static List<List<String>> fetched(String sql) throws SQLException {
    link.setAutoCommit(false);
    try (Statement s = link.createStatement()) {
      s.setFetchSize(13);
      return all(s.executeQuery(sql));
    } finally { link.commit(); link.setAutoCommit(true); }
  }

  private static List<List<String>> prepared() throws SQLException {
    List<List<String>> found = new ArrayList<>();
    try (PreparedStatement s = link.prepareStatement("SELECT id, weight, at, code FROM things WHERE id = ?")) {
      for (int n = 1; n < 12; n++) { s.setInt(1, n); found.addAll(all(s.executeQuery())); }
    }
    return found;
  }

  private static List<List<String>> batch() throws SQLException {
    int sum = 0;
    try (PreparedStatement s = link.prepareStatement("INSERT INTO scratch VALUES (?, ?)")) {
      for (int n = 1100; n < 1200; n++) { s.setInt(1, n); s.setString(2, "j"); s.addBatch(); }
      for (int one : s.executeBatch()) { sum += one; }
    }
    try (Statement s = link.createStatement()) {
      return List.of(List.of(sum + " " + s.executeUpdate("DELETE FROM scratch WHERE id >= 1100 AND id < 1200")));
    }
  }

  private static List<List<String>> copyOut(String sql) throws Exception {
    StringWriter out = new StringWriter();
    new CopyManager(link.unwrap(BaseConnection.class)).copyOut(sql, out);
    return List.of(List.of(out.toString()));
  }

  private static List<List<String>> copyIn() throws Exception {
    long n = new CopyManager(link.unwrap(BaseConnection.class)).copyIn("COPY scratch (id, name) FROM STDIN", new StringReader("1210\tj\n1211\tk\n"));
    try (Statement s = link.createStatement()) {
      return List.of(List.of(n + " " + s.executeUpdate("DELETE FROM scratch WHERE id IN (1210, 1211)")));
    }
  }

  private static List<List<String>> transaction() throws SQLException {
    link.setAutoCommit(false);
    try (Statement s = link.createStatement()) {
      s.executeUpdate("INSERT INTO scratch VALUES (1220, 'x')");
      java.sql.Savepoint here = link.setSavepoint();
      String state = "";
      try { s.executeQuery("SELECT 1/0"); } catch (SQLException e) { state = e.getSQLState(); link.rollback(here); }
      List<List<String>> found = new ArrayList<>(all(s.executeQuery("SELECT count(*) FROM scratch WHERE id = 1220")));
      found.add(List.of(state));
      link.rollback();
      found.addAll(all(s.executeQuery("SELECT count(*) FROM scratch WHERE id = 1220")));
      link.commit();
      return found;
    } finally { link.setAutoCommit(true); }
  }

  private static List<List<String>> keys() throws SQLException {
    DatabaseMetaData m = link.getMetaData();
    List<List<String>> found = new ArrayList<>(all(m.getPrimaryKeys(null, "public", "things"), 4, 5, 6));
    found.addAll(all(m.getIndexInfo(null, "public", "people", false, true), 4, 6, 9));
    found.addAll(all(m.getImportedKeys(null, "public", "orders"), 3, 4, 7, 8));
    return found;
  }

  private static List<List<String>> generated() throws SQLException {
    List<List<String>> found;
    try (PreparedStatement s = link.prepareStatement("INSERT INTO scratch VALUES (?, 'g')", Statement.RETURN_GENERATED_KEYS)) {
      s.setInt(1, 1230);
      s.executeUpdate();
      found = all(s.getGeneratedKeys());
    }
    try (Statement s = link.createStatement()) { s.executeUpdate("DELETE FROM scratch WHERE id = 1230"); }
    return found;
  }

  private static List<List<String>> updatable() throws SQLException {
    try (Statement s = link.createStatement()) { s.executeUpdate("INSERT INTO scratch VALUES (1240, 'before')"); }
    try (Statement s = link.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
      ResultSet r = s.executeQuery("SELECT id, name FROM scratch WHERE id = 1240");
      r.next();
      r.updateString(2, "after");
      r.updateRow();
    }
    try (Statement s = link.createStatement()) { return all(s.executeQuery("DELETE FROM scratch WHERE id = 1240 RETURNING name")); }
  }

  private static void report(String name, Run run) {
    StringBuilder line = new StringBuilder("{\"case\": " + quoted(name) + ", ");
    try {
      List<String> rows = new ArrayList<>();
      for (List<String> row : run.get()) {
        List<String> cells = new ArrayList<>();
        for (String cell : row) { cells.add(quoted(cell)); }
        rows.add("[" + String.join(", ", cells) + "]");
      }
      line.append("\"rows\": [" + String.join(", ", rows) + "], \"error\": null}");
    } catch (Exception error) {
      String state = error instanceof SQLException e && e.getSQLState() != null ? e.getSQLState() : error.getClass().getSimpleName();
      line.append("\"rows\": null, \"error\": " + quoted(state) + ", \"text\": " + quoted(String.valueOf(error.getMessage())) + "}");
    }
    System.out.println(line);
  }

  private static String quoted(String text) {
    if (text == null) { return "null"; }
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') { out.append('\\').append(c); } else if (c < 32 || c > 126) { out.append(String.format("\\u%04x", (int) c)); } else { out.append(c); }
    }
    return out.append('"').toString();
  }
}
