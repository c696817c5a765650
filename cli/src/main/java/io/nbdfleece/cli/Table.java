// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import java.util.ArrayList;
import java.util.List;

/// Text in columns, two spaces apart, the last one as long as it likes.
final class Table {
  private final List<String[]> rows = new ArrayList<>();

  Table row(String... cells) {
    rows.add(cells);
    return this;
  }

  /// Characters of the longest line.
  int columns() {
    return toString().lines().mapToInt(String::length).max().orElse(0);
  }

  /// One line per row, each with a line feed.
  @Override
  public String toString() {
    int columns = rows.stream().mapToInt(row -> row.length).max().orElse(0);
    int[] widths = new int[columns];
    for (String[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        widths[i] = Math.max(widths[i], row[i].length());
      }
    }
    StringBuilder text = new StringBuilder();
    for (String[] row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < row.length; i++) {
        line.append(row[i]).append(" ".repeat(widths[i] - row[i].length() + 2));
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }

  /// The strings of a JSON array, joined: URIs of one export.
  static String joined(tools.jackson.databind.JsonNode strings) {
    List<String> texts = new ArrayList<>();
    strings.forEach(text -> texts.add(text.asString()));
    return String.join("  ", texts);
  }
}
