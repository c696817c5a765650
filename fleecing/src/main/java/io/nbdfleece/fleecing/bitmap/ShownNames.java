// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.util.Collection;
import java.util.Locale;

/// Names of bitmaps, checkpoints, disks and snapshots for a person to read. They may be long, many,
/// and hold whatever a terminal obeys.
public final class ShownNames {
  private static final int LENGTH_MAX = 64;
  private static final int COUNT_MAX = 8;

  private ShownNames() {}

  /// The name in at most 65 characters (an escape counts as one), a longer one with `…` at its end;
  /// what cannot be seen or would change how the rest is shown is an escape, `\u202e`.
  public static String of(String name) {
    StringBuilder shown = new StringBuilder();
    int count = 0;
    for (int at = 0; at < name.length(); count++) {
      if (count == LENGTH_MAX) {
        return shown.append('…').toString();
      }
      int point = name.codePointAt(at);
      append(shown, point);
      at += Character.charCount(point);
    }
    return shown.toString();
  }

  /// The first of them, how many more there are, and `none` if there are none.
  public static String list(Collection<String> names) {
    if (names.isEmpty()) {
      return "none";
    }
    StringBuilder shown = new StringBuilder();
    for (String name : names.stream().limit(COUNT_MAX).toList()) {
      shown.append(shown.isEmpty() ? "" : ", ").append(of(name));
    }
    int more = names.size() - COUNT_MAX;
    return more > 0
        ? shown.append(" and ").append(more).append(" more").toString()
        : shown.toString();
  }

  /// A text of any length, in which a name may stand, without anything that a terminal obeys. Line
  /// feeds and tabulators stay.
  public static String text(String text) {
    if (text.codePoints().noneMatch(point -> isHidden(point) && point != '\n' && point != '\t')) {
      return text;
    }
    StringBuilder shown = new StringBuilder();
    text.codePoints()
        .forEach(
            point -> {
              if (point == '\n' || point == '\t') {
                shown.append((char) point);
              } else {
                append(shown, point);
              }
            });
    return shown.toString();
  }

  private static void append(StringBuilder shown, int point) {
    if (isHidden(point)) {
      for (char unit : Character.toChars(point)) {
        shown.append(String.format(Locale.ROOT, "\\u%04x", (int) unit));
      }
    } else {
      shown.appendCodePoint(point);
    }
  }

  private static boolean isHidden(int point) {
    return switch (Character.getType(point)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.UNASSIGNED ->
          true;
      default -> false;
    };
  }
}
