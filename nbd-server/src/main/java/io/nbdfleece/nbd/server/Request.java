// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/// One request on its way through the export. It is its own [Completion], so that a request costs
/// one object.
///
/// Created, started and settled on the event loop; completed on any thread, once: what comes later
/// is logged and has no effect.
abstract sealed class Request implements Completion
    permits CommandBlockStatus,
        CommandCache,
        CommandFlush,
        CommandRead,
        CommandTrim,
        CommandWrite,
        CommandWriteZeroes {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.requests");
  private static final VarHandle COMPLETED;

  static {
    try {
      COMPLETED = MethodHandles.lookup().findVarHandle(Request.class, "completed", boolean.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  final Transmission transmission;
  final long cookie;
  final long offsetBytes;
  final long lengthBytes;

  /// What it counts for in the limit of bytes in flight.
  final long costBytes;

  /// The link of [CompletionQueue].
  @Nullable Request next;

  @SuppressWarnings("UnusedVariable") // through COMPLETED
  private boolean completed;

  private @Nullable IOException error;

  Request(Transmission transmission, RequestHeader header, long costBytes) {
    this.transmission = transmission;
    this.cookie = header.cookie();
    this.offsetBytes = header.offsetBytes();
    this.lengthBytes = header.lengthBytes();
    this.costBytes = costBytes;
  }

  /// Hands the request to the export.
  abstract void start(Export export);

  /// Builds the reply of one that succeeded and hands it over, buffers included.
  abstract void reply(Replies replies) throws IOException;

  /// Frees what [#reply] has not handed over. Called once, after the completion.
  void release() {}

  /// Why it failed; null when it did not.
  @Nullable IOException error() {
    return error;
  }

  @Override
  public final void succeeded() {
    if (mayComplete()) {
      transmission.completed(this);
    }
  }

  @Override
  public final void failed(IOException why) {
    if (mayComplete()) {
      error = why;
      transmission.completed(this);
    }
  }

  /// Whether this is the first completion.
  final boolean mayComplete() {
    if (COMPLETED.compareAndSet(this, false, true)) {
      return true;
    }
    LOG.log(
        System.Logger.Level.ERROR,
        "export completed a request twice: {0} offset={1} length={2}",
        getClass().getSimpleName(),
        offsetBytes,
        lengthBytes);
    return false;
  }
}
