// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;

/// Native calls that wait, as many as there are threads that carry virtual ones: until closed no
/// other virtual thread runs. They read from an empty pipe.
final class HeldCarriers implements AutoCloseable {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final MethodHandle PIPE =
      function("pipe", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
  private static final MethodHandle READ =
      function(
          "read",
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT,
              ValueLayout.ADDRESS,
              ValueLayout.JAVA_LONG));
  private static final MethodHandle CLOSE =
      function("close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));

  private final List<CompletableFuture<Void>> readers = new ArrayList<>();
  private final int readEnd;
  private final int writeEnd;

  @SuppressWarnings("restricted") // the tests may
  private static MethodHandle function(String name, FunctionDescriptor type) {
    return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), type);
  }

  private HeldCarriers(int readEnd, int writeEnd) {
    this.readEnd = readEnd;
    this.writeEnd = writeEnd;
  }

  static HeldCarriers all() throws Throwable {
    HeldCarriers held;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment ends = arena.allocate(ValueLayout.JAVA_INT, 2);
      if ((int) PIPE.invokeExact(ends) != 0) {
        throw new IllegalStateException("pipe");
      }
      held =
          new HeldCarriers(
              ends.getAtIndex(ValueLayout.JAVA_INT, 0), ends.getAtIndex(ValueLayout.JAVA_INT, 1));
    }
    int count =
        Integer.getInteger(
            "jdk.virtualThreadScheduler.parallelism", Runtime.getRuntime().availableProcessors());
    CountDownLatch about = new CountDownLatch(count);
    for (int i = 0; i < count; i++) {
      held.readers.add(
          CompletableFuture.runAsync(
              () -> {
                about.countDown();
                held.waitForTheEnd();
              },
              Thread::startVirtualThread));
    }
    about.await();
    return held;
  }

  private void waitForTheEnd() {
    try (Arena arena = Arena.ofConfined()) {
      long _ = (long) READ.invokeExact(readEnd, arena.allocate(1), 1L);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    closeEnd(writeEnd);
    readers.forEach(CompletableFuture::join);
    closeEnd(readEnd);
  }

  private static void closeEnd(int end) {
    try {
      int _ = (int) CLOSE.invokeExact(end);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
