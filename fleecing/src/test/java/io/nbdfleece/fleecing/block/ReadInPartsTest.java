// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReadInPartsTest {
  private final List<Completion> started = new ArrayList<>();
  private final List<String> asked = new ArrayList<>();
  private final List<String> ends = new ArrayList<>();

  /// A disk whose reads end when the test says so. The third one is refused by a fault.
  private final class SlowDisk implements BlockNode {
    @Override
    public long sizeBytes() {
      return 1 << 20;
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      asked.add(offsetBytes + "+" + target.remaining());
      if (asked.size() == 3) {
        throw new IllegalStateException("a fault");
      }
      started.add(done);
    }

    @Override
    public void apply(Mutation mutation, Completion done) {
      throw new AssertionError("only read here");
    }

    @Override
    public void flush(Completion done) {
      done.succeeded();
    }

    @Override
    public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
      done.succeeded(List.of(new BlockExtent(lengthBytes, BlockExtent.State.DATA)));
    }

    @Override
    public void close() {}
  }

  private final Completion end =
      new Completion() {
        @Override
        public void succeeded() {
          ends.add("succeeded");
        }

        @Override
        public void failed(IOException error) {
          ends.add(error.getMessage());
        }
      };

  private static List<ByteBuffer> buffers(int... sizes) {
    List<ByteBuffer> buffers = new ArrayList<>();
    for (int size : sizes) {
      buffers.add(ByteBuffer.allocateDirect(size));
    }
    return buffers;
  }

  @Test
  void partsAreReadAtTheSameTimeAndItEndsWithTheLast() {
    new SlowDisk().read(1000, buffers(10, 20), end);
    assertEquals(List.of("1000+10", "1010+20"), asked);
    started.get(1).succeeded();
    assertEquals(List.of(), ends);
    started.get(0).succeeded();
    assertEquals(List.of("succeeded"), ends);
  }

  /// Buffers go back to where they came from at the end: nobody may be filling one then.
  @Test
  void failureWaitsForTheOthers() {
    new SlowDisk().read(0, buffers(10, 10), end);
    started.get(0).failed(new IOException("first"));
    assertEquals(List.of(), ends);
    started.get(1).failed(new IOException("second"));
    assertEquals(List.of("first"), ends);
  }

  @Test
  void faultIsAFailureThatWaitsForTheOthers() {
    new SlowDisk().read(0, buffers(10, 10, 10, 10), end);
    assertEquals(4, asked.size());
    started.forEach(Completion::succeeded);
    assertEquals(List.of("internal error: java.lang.IllegalStateException: a fault"), ends);
  }
}
