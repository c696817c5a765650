// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.util.List;

/// One run of a program to its end: its exit status and what it printed.
record Tool(int exit, String output) {

  static Tool run(String... command) throws InterruptedException {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      process.getOutputStream().close();
      String output = new String(process.getInputStream().readAllBytes(), UTF_8);
      return new Tool(process.waitFor(), output);
    } catch (IOException e) {
      return new Tool(127, List.of(command) + ": " + e.getMessage());
    }
  }

  static boolean isThere(String name) throws InterruptedException {
    return run(name, "--version").exit() == 0;
  }
}
