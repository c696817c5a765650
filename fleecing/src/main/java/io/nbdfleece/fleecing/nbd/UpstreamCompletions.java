// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.NotFastException;
import io.nbdfleece.fleecing.nbd.UpstreamDurability.UpstreamException;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import java.io.IOException;
import java.util.function.UnaryOperator;

/// Carries the end of a request to another NBD server back into the engine.
final class UpstreamCompletions {
  private UpstreamCompletions() {}

  /// Of anything but a change.
  static io.nbdfleece.nbd.Completion asEio(Completion done) {
    return to(done, UpstreamCompletions::asEio);
  }

  /// A server that is full says so to the guest, whose disk it is.
  static io.nbdfleece.nbd.Completion ofChange(Completion done) {
    return to(
        done,
        error ->
            error instanceof NbdException answer && answer.error() == NbdError.ENOSPC
                ? answer
                : asEio(error));
  }

  /// ENOTSUP means that it would not be fast.
  static io.nbdfleece.nbd.Completion ofFastZero(Completion done) {
    return to(
        done,
        error -> {
          if (error instanceof NbdException answer && answer.error() == NbdError.ENOTSUP) {
            return new NotFastException("upstream server: " + answer.getMessage(), answer);
          }
          return error instanceof NbdException answer && answer.error() == NbdError.ENOSPC
              ? answer
              : asEio(error);
        });
  }

  /// Keeps the server's text, but none of its error numbers.
  static IOException asEio(IOException error) {
    return error instanceof NbdException answer ? new UpstreamException(answer) : error;
  }

  private static io.nbdfleece.nbd.Completion to(
      Completion done, UnaryOperator<IOException> translation) {
    return new io.nbdfleece.nbd.Completion() {
      @Override
      public void succeeded() {
        done.succeeded();
      }

      @Override
      public void failed(IOException error) {
        done.failed(translation.apply(error));
      }
    };
  }
}
