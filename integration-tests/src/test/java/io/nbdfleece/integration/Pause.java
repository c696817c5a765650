// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.time.Duration;
import org.awaitility.Awaitility;

/// Time that has to pass because the test is about time: how long a process is stopped, a server is
/// away. Never to wait for something to happen.
final class Pause {
  private Pause() {}

  static void of(Duration time) {
    long startNanos = System.nanoTime();
    Awaitility.await()
        .atMost(time.plusSeconds(60))
        .pollDelay(time)
        .until(() -> System.nanoTime() - startNanos >= time.toNanos());
  }
}
