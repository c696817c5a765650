// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class ThreadPriorityTest {
  private static final int NICE_FIELD_BEHIND_NAME = 16; // proc_pid_stat(5): the 19th field

  private static int nice() {
    try {
      String stat = Files.readString(Path.of("/proc/thread-self/stat"));
      String behindName = stat.substring(stat.lastIndexOf(')') + 2);
      return Integer.parseInt(behindName.split(" ", -1)[NICE_FIELD_BEHIND_NAME]);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void oneThreadGivesWayAndOthersDoNot() throws Exception {
    int before = nice();
    AtomicInteger nicer = new AtomicInteger();
    Thread thread =
        Thread.ofPlatform()
            .start(
                () -> {
                  ThreadPriority.giveWay();
                  nicer.set(nice());
                });
    thread.join();
    assertEquals(Math.min(19, before + 10), nicer.get());
    assertEquals(before, nice());
  }
}
