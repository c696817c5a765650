// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.warmup;

import java.io.OutputStream;
import java.util.concurrent.CompletableFuture;

/// Standard output that nobody sees; tells when its first line has been printed, which is when
/// clients can connect. Any thread.
final class ReadyOutput extends OutputStream {
  private final CompletableFuture<Boolean> firstLine = new CompletableFuture<>();

  /// Completes with the end of the first line.
  CompletableFuture<Boolean> firstLine() {
    return firstLine;
  }

  @Override
  public void write(int b) {
    if (b == '\n') {
      var _ = firstLine.complete(true);
    }
  }

  @Override
  public void write(byte[] bytes, int start, int length) {
    for (int i = start; i < start + length; i++) {
      write(bytes[i]);
    }
  }

  @Override
  public void close() {}
}
