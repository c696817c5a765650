// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;

class ProcessTimesTest {

  @Test
  void aJvmsCompilersTakeAPartOfItsTime() throws IOException {
    long pid = ProcessHandle.current().pid();

    double compilers = ProcessTimes.compilerSeconds(pid);
    double all = ProcessTimes.cpuSeconds(pid);

    assertTrue(compilers > 0, () -> "compilers: " + compilers);
    assertTrue(compilers < all, () -> "compilers: " + compilers + ", all: " + all);
  }

  @Test
  void whatIsNoJvmHasNoCompilers() throws IOException, InterruptedException {
    Process cat = new ProcessBuilder("cat").start();
    try {
      assertEquals(0, ProcessTimes.compilerSeconds(cat.pid()));
    } finally {
      cat.getOutputStream().close();
      int _ = cat.waitFor();
    }
  }
}
