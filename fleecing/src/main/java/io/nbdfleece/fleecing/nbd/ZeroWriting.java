// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/// Zeroing by writing, for an export that cannot do better: piece after piece out of one buffer
/// that all share, a few pieces at a time. After a failure no further piece is begun, and it ends
/// when those under way have ended.
final class ZeroWriting implements Completion {
  /* A piece may end inside of the call that begins it. Whoever is in the loop goes on with the
   * next one then; who ends a piece elsewhere enters the loop unless somebody is in it. */

  private static final int PIECE_BYTES = 1 << 20;
  private static final int PIECES_MAX = 4;
  private static final ByteBuffer ZEROES =
      ByteBuffer.allocateDirect(PIECE_BYTES).asReadOnlyBuffer();

  private final Export export;
  private final long endBytes;
  private final Export.Durability durability;
  private final Completion done;

  @GuardedBy("this")
  private long nextBytes;

  @GuardedBy("this")
  private int piecesUnderWay;

  @GuardedBy("this")
  private boolean looping;

  @GuardedBy("this")
  private @Nullable IOException failure;

  private ZeroWriting(
      Export export,
      long offsetBytes,
      long lengthBytes,
      Export.Durability durability,
      Completion done) {
    this.export = export;
    this.nextBytes = offsetBytes;
    this.endBytes = offsetBytes + lengthBytes;
    this.durability = durability;
    this.done = done;
  }

  /// Writes zeroes. `lengthBytes` is at least 1.
  static void start(
      Export export,
      long offsetBytes,
      long lengthBytes,
      Export.Durability durability,
      Completion done) {
    new ZeroWriting(export, offsetBytes, lengthBytes, durability, done).loop();
  }

  private void loop() {
    synchronized (this) {
      if (looping) {
        return;
      }
      looping = true;
    }
    while (true) {
      long offsetBytes;
      int lengthBytes;
      synchronized (this) {
        if (failure != null || nextBytes == endBytes || piecesUnderWay == PIECES_MAX) {
          looping = false;
          break;
        }
        offsetBytes = nextBytes;
        lengthBytes = (int) Math.min(PIECE_BYTES, endBytes - nextBytes);
        nextBytes += lengthBytes;
        piecesUnderWay++;
      }
      export.write(offsetBytes, ZEROES.slice(0, lengthBytes), durability, this);
    }
    finish();
  }

  /// Ends the whole when nothing is left. Whoever leaves the loop, or ends the last piece behind
  /// its back, comes by here; only one finds it so, because it takes the last piece away.
  private void finish() {
    IOException failed;
    synchronized (this) {
      if (looping || piecesUnderWay != 0 || (failure == null && nextBytes != endBytes)) {
        return;
      }
      piecesUnderWay = -1;
      failed = failure;
    }
    if (failed == null) {
      done.succeeded();
    } else {
      done.failed(failed);
    }
  }

  @Override
  public void succeeded() {
    synchronized (this) {
      piecesUnderWay--;
    }
    loop();
  }

  @Override
  public void failed(IOException error) {
    synchronized (this) {
      piecesUnderWay--;
      if (failure == null) {
        failure = error;
      }
    }
    loop();
  }
}
