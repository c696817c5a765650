// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// Words of command lines that people copy into a shell.
public final class ShellWord {
  private static final Pattern PLAIN = Pattern.compile("[A-Za-z0-9._@:/=+,-]+");

  private ShellWord() {}

  /// The text as one word of a POSIX shell: in single quotes, unless there is nothing in it that a
  /// shell looks at.
  public static String of(String text) {
    return PLAIN.matcher(text).matches() ? text : "'" + text.replace("'", "'\\''") + "'";
  }

  /// A command line of these words.
  public static String line(String... words) {
    return Arrays.stream(words).map(ShellWord::of).collect(Collectors.joining(" "));
  }
}
