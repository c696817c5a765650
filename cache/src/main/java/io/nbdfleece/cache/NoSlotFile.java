// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;
import java.nio.ByteBuffer;

/// The disk tier of a store that has none: nothing is ever spilled to it.
final class NoSlotFile implements SlotFile {

  @Override
  public void write(long offsetBytes, ByteBuffer data, Completion done) {
    done.failed(none());
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    done.failed(none());
  }

  @Override
  public void punch(long offsetBytes, long lengthBytes, Completion done) {
    done.failed(none());
  }

  @Override
  public void close() {
    // Nothing was opened.
  }

  private static IOException none() {
    return new IOException("the store has no disk tier");
  }
}
