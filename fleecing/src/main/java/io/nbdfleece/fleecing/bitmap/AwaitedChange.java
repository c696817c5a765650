// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.cache.Completion;
import java.io.IOException;

/// A change of the disk that waited for something, and its end. Where it goes on nobody is there to
/// throw to: what is thrown on its way fails it, for in flight for ever it would keep every later
/// freeze from being drained.
final class AwaitedChange implements Completion {
  private final Completion done;

  /// Whether whoever asked for it has been told, or is being told.
  private volatile boolean told;

  AwaitedChange(Completion done) {
    this.done = done;
  }

  /// Goes on; what is thrown after its end is of whoever was told, and thrown.
  void goOn(Runnable way) {
    try {
      way.run();
    } catch (RuntimeException | Error e) {
      if (told) {
        throw e;
      }
      failed(new IOException("internal error: " + e, e));
    }
  }

  @Override
  public void succeeded() {
    told = true;
    done.succeeded();
  }

  @Override
  public void failed(IOException error) {
    told = true;
    done.failed(error);
  }
}
