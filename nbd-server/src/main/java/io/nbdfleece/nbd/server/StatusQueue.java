// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import org.jspecify.annotations.Nullable;

/// The BLOCK_STATUS requests of one connection that have begun and wait for their turn, in the
/// order they came. Used on the event loop only.
///
/// What an export finds lies on the heap, in lists that count for nothing before a reply is made of
/// them, and it may take a while to find. So it looks for [#STARTED_COUNT] answers of a connection
/// at the same time, and for none any more when the client has gone. Answers that are at hand have
/// their turn at once.
final class StatusQueue {
  static final int STARTED_COUNT = 4;

  private final CheckedExport export;
  private @Nullable Request oldest;
  private @Nullable Request newest;
  private int startedCount;
  private boolean starting;

  StatusQueue(CheckedExport export) {
    this.export = export;
  }

  /// Starts one that has begun, now or when it is its turn.
  void add(CommandBlockStatus status) {
    Request last = newest;
    if (last == null) {
      oldest = status;
    } else {
      last.next = status;
    }
    newest = status;
    start();
  }

  /// One that was started has been answered.
  void completed() {
    startedCount--;
    start();
  }

  private void start() {
    if (starting) {
      return; // inside of the loop below, which goes on
    }
    starting = true;
    for (Request status; (status = oldest) != null && startedCount < STARTED_COUNT; ) {
      oldest = status.next;
      status.next = null;
      if (oldest == null) {
        newest = null;
      }
      startedCount++;
      export.start(status);
    }
    starting = false;
  }

  /// The connection is gone: how many will never be started.
  int drop() {
    int dropped = 0;
    for (Request status = oldest; status != null; status = status.next) {
      dropped++;
    }
    oldest = null;
    newest = null;
    return dropped;
  }
}
