// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// Remembers that a server has failed to make something durable. Any thread.
final class UpstreamDurability {
  private final AtomicReference<@Nullable IOException> first = new AtomicReference<>();

  boolean hasFailed() {
    return first.get() != null;
  }

  /// What a request for durability is told once one has failed.
  IOException failure() {
    IOException cause = first.get();
    return new IOException(
        "the upstream server failed to make data durable before: "
            + (cause == null ? "" : cause.getMessage()),
        cause);
  }

  /// Looks at the outcome of something that had to be durable. A failure of an earlier one fails
  /// this one as well, because the server may have told that one of what this one waited for.
  Completion watching(Completion done) {
    return new Completion() {
      @Override
      public void succeeded() {
        if (hasFailed()) {
          done.failed(failure());
        } else {
          done.succeeded();
        }
      }

      @Override
      public void failed(IOException error) {
        if (saysDataIsLost(error)) {
          first.compareAndSet(null, error);
        }
        done.failed(error);
      }
    };
  }

  /* What the server answers, not what happens on the way to it. Shutting down, not fast, not
   * allowed: then it has not tried. A change for which there is no room comes here as it is, not
   * as an UpstreamException; a flush that finds none has lost what was written before. */
  private static boolean saysDataIsLost(IOException error) {
    return error instanceof UpstreamException upstream
        && switch (upstream.error()) {
          case EIO, ENOMEM, EOVERFLOW, EINVAL, ENOSPC -> true;
          case EPERM, ENOTSUP, ESHUTDOWN -> false;
        };
  }

  /// The server's answer, which a guest sees as EIO.
  static final class UpstreamException extends IOException {
    private static final long serialVersionUID = 1;
    private final NbdError error;

    UpstreamException(NbdException answer) {
      super("upstream server: " + answer.error() + ": " + answer.getMessage(), answer);
      this.error = answer.error();
    }

    NbdError error() {
      return error;
    }
  }
}
