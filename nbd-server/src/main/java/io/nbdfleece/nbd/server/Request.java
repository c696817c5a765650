// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.Nbd;
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

  /// The link of [ReadQueue] or [StatusQueue] before it is started, and of [CompletionQueue]
  /// afterwards.
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

  /// The request in the header, of a command without payload, which [RequestRules] has accepted.
  static Request of(Transmission transmission, RequestHeader header) {
    return switch (header.command()) {
      case Nbd.CMD_READ -> new CommandRead(transmission, header);
      case Nbd.CMD_FLUSH -> new CommandFlush(transmission, header);
      case Nbd.CMD_TRIM -> new CommandTrim(transmission, header);
      case Nbd.CMD_CACHE -> new CommandCache(transmission, header);
      case Nbd.CMD_WRITE_ZEROES -> new CommandWriteZeroes(transmission, header);
      case Nbd.CMD_BLOCK_STATUS ->
          new CommandBlockStatus(transmission, header, transmission.contexts());
      default -> throw new IllegalStateException("command: " + header.command());
    };
  }

  /// Hands the request to the export.
  abstract void start(Export export);

  /// Builds the reply of one that succeeded and hands it over, buffers included.
  abstract void reply(Replies replies) throws IOException;

  /// What the client sees of an error of the export. Only what the specification allows for the
  /// command: ENOTSUP belongs to fast zeroing, EOVERFLOW to requests that could be smaller, and
  /// that the server is short of memory is nothing a client can act upon.
  NbdError visible(NbdError error) {
    return visibleOfAny(error);
  }

  private static NbdError visibleOfAny(NbdError error) {
    return switch (error) {
      case ENOMEM, ENOTSUP, EOVERFLOW -> NbdError.EIO;
      case EPERM, EIO, EINVAL, ENOSPC, ESHUTDOWN -> error;
    };
  }

  /// The same for a command without payload: one longer than a payload may be too long.
  final NbdError visibleOfRange(NbdError error) {
    boolean tooLong = error == NbdError.EOVERFLOW && lengthBytes > WireLimits.PAYLOAD_BYTES_MAX;
    return tooLong ? error : visibleOfAny(error);
  }

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
