// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/// Asks nodes what they hold where, and waits for the answer.
public final class BlockStatus {
  private static final int EXTENTS_MAX = 100;

  private BlockStatus() {}

  public static List<BlockExtent> of(BlockNode node, long offsetBytes, long lengthBytes) {
    return of(node, offsetBytes, lengthBytes, EXTENTS_MAX);
  }

  public static List<BlockExtent> of(
      BlockNode node, long offsetBytes, long lengthBytes, int extentsMax) {
    CompletableFuture<List<BlockExtent>> found = new CompletableFuture<>();
    node.status(
        offsetBytes,
        lengthBytes,
        extentsMax,
        new ExtentsCompletion() {
          @Override
          public void succeeded(List<BlockExtent> extents) {
            found.complete(extents);
          }

          @Override
          public void failed(IOException error) {
            found.completeExceptionally(error);
          }
        });
    return found.orTimeout(30, TimeUnit.SECONDS).join();
  }
}
