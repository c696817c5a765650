// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// What a standard stream is. `System.console()` looks at two of them at once, so it does not help.
final class Terminal {
  private static final int COLUMNS_DEFAULT = 80;

  private Terminal() {}

  static boolean isInTerminal() {
    return isTerminal(0);
  }

  static boolean isErrTerminal() {
    return isTerminal(2);
  }

  static boolean isOutTerminal() {
    return isTerminal(1);
  }

  private static boolean isTerminal(int descriptor) {
    try {
      String target = Files.readSymbolicLink(Path.of("/proc/self/fd/" + descriptor)).toString();
      return target.startsWith("/dev/pts/")
          || target.startsWith("/dev/tty")
          || target.equals("/dev/console");
    } catch (IOException e) {
      // Without /proc nothing is known: no bar then.
      return false;
    }
  }

  /// Width, which the launcher passes on.
  static int columns() {
    try {
      int columns = Integer.parseInt(System.getenv().getOrDefault("COLUMNS", ""));
      return columns >= 20 ? columns : COLUMNS_DEFAULT;
    } catch (NumberFormatException e) {
      return COLUMNS_DEFAULT;
    }
  }
}
