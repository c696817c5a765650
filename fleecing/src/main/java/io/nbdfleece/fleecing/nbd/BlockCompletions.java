// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.ContextStatus;
import io.nbdfleece.fleecing.block.ContextsCompletion;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.NotFastException;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// Carries the end of an operation of the engine to an NBD request.
final class BlockCompletions {
  private BlockCompletions() {}

  static io.nbdfleece.cache.Completion to(Completion done) {
    return new io.nbdfleece.cache.Completion() {
      @Override
      public void succeeded() {
        done.succeeded();
      }

      @Override
      public void failed(IOException error) {
        done.failed(asNbd(error));
      }
    };
  }

  /// Only a disk that is full itself says ENOSPC. A guest write that was refused because the
  /// scratch directory is full gets EIO: on a disk that shows no holes a guest may not expect
  /// ENOSPC (NBD specification, NBD_STATE_HOLE).
  private static IOException asNbd(IOException error) {
    String text = String.valueOf(error.getMessage());
    if (error instanceof NotFastException) {
      return new NbdException(NbdError.ENOTSUP, text, error);
    }
    return error instanceof PosixException posix && posix.isNoRoom()
        ? new NbdException(NbdError.ENOSPC, text, error)
        : error;
  }

  static ExtentsCompletion to(List<String> contexts, StatusCompletion done) {
    return new ExtentsCompletion() {
      @Override
      public void succeeded(List<BlockExtent> found) {
        List<Extent> extents = new ArrayList<>(found.size());
        for (BlockExtent extent : found) {
          int flags =
              switch (extent.state()) {
                case DATA -> 0;
                case ZERO -> Extent.ZERO;
                case HOLE -> Extent.HOLE | Extent.ZERO;
              };
          extents.add(new Extent(extent.lengthBytes(), flags));
        }
        done.succeeded(
            contexts.stream()
                .filter(ExportInfo.BASE_ALLOCATION::equals)
                .map(context -> new ContextExtents(context, extents))
                .toList());
      }

      @Override
      public void failed(IOException error) {
        done.failed(asNbd(error));
      }
    };
  }

  static ContextsCompletion contexts(StatusCompletion done) {
    return new ContextsCompletion() {
      @Override
      public void succeeded(List<ContextStatus> statuses) {
        List<ContextExtents> found = new ArrayList<>(statuses.size());
        for (ContextStatus status : statuses) {
          found.add(
              new ContextExtents(
                  status.context(),
                  status.stretches().stream()
                      .map(stretch -> new Extent(stretch.lengthBytes(), stretch.flags()))
                      .toList()));
        }
        done.succeeded(found);
      }

      @Override
      public void failed(IOException error) {
        done.failed(asNbd(error));
      }
    };
  }
}
