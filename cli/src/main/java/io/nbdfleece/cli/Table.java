// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// Text in columns, two spaces apart, numbers right-aligned, the last column as long as it likes.
final class Table {
  private final List<String[]> rows = new ArrayList<>();
  private final Set<Integer> numbers;

  /// @param numbers the columns of numbers, from 0
  Table(Integer... numbers) {
    this.numbers = Set.of(numbers);
  }

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
        String gap = " ".repeat(widths[i] - row[i].length());
        line.append(numbers.contains(i) ? gap + row[i] : row[i] + gap).append("  ");
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
