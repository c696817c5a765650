// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.SlotFile;
import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NodeAbility;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Counts the I/O calls of a scenario, and fails one of them before it has done anything. Any
/// thread.
final class NthCall {
  private final int failing;
  private final int errno;
  private final Stretch stretch;
  private int count;
  private Optional<String> failed = Optional.empty();

  /// The thread whose calls do not count; 0 = none.
  private long lookingId;

  private boolean over;

  /// What fails.
  enum Stretch {
    ONCE,
    /// That call and all later ones of the scratch file, or all like it of the disk.
    FROM_THEN_ON
  }

  /// @param failing which call, from 1; none when it is 0
  NthCall(int failing, int errno, Stretch stretch) {
    this.failing = failing;
    this.errno = errno;
    this.stretch = stretch;
  }

  /// @param call what is done and to which file, as `read vda`
  synchronized void meet(String call) throws IOException {
    if (over || Thread.currentThread().threadId() == lookingId) {
      return;
    }
    count++;
    if (count == failing) {
      failed = Optional.of(call);
      throw new PosixException(call, errno);
    }
    if (stretch == Stretch.FROM_THEN_ON && failed.filter(f -> isLike(f, call)).isPresent()) {
      throw new PosixException(call, errno);
    }
  }

  /// From now on no call is counted, and none fails.
  synchronized void end() {
    over = true;
  }

  /// What a test does itself to look at something. Not to be nested.
  interface Look<T> {
    T run() throws IOException;
  }

  /// Runs something whose calls, on this thread, are not counted and do not fail.
  <T> T aside(Look<T> look) throws IOException {
    look(Thread.currentThread().threadId());
    try {
      return look.run();
    } finally {
      look(0);
    }
  }

  private synchronized void look(long threadId) {
    lookingId = threadId;
  }

  private static boolean isLike(String failed, String call) {
    return failed.equals(call) || (failed.endsWith(" scratch") && call.endsWith(" scratch"));
  }

  /// Whether such a call has failed, or may have.
  boolean mayFail(String call) {
    return failed().filter(f -> f.equals(call)).isPresent()
        || (stretch == Stretch.FROM_THEN_ON && failed().filter(f -> isLike(f, call)).isPresent());
  }

  /// Whether that call fails each time now.
  boolean isStill(String call) {
    return stretch == Stretch.FROM_THEN_ON && hasFailed(call);
  }

  synchronized int count() {
    return count;
  }

  /// The call that failed, once it has.
  synchronized Optional<String> failed() {
    return failed;
  }

  boolean hasFailed(String call) {
    return failed().filter(call::equals).isPresent();
  }

  private void meet(String call, Completion done, Runnable work) {
    try {
      meet(call);
    } catch (IOException e) {
      done.failed(e);
      return;
    }
    work.run();
    done.succeeded();
  }

  /// A disk in memory whose calls are counted. Everything ends inside the call.
  final class Disk implements BlockNode {
    final byte[] content;
    private final String name;

    /// @param name told with each call, as in `read vda`
    Disk(String name, byte[] content) {
      this.name = name;
      this.content = content;
    }

    @Override
    public long sizeBytes() {
      return content.length;
    }

    @Override
    public Set<NodeAbility> abilities() {
      return EnumSet.allOf(NodeAbility.class);
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      meet("read " + name, done, () -> target.put(content, (int) offsetBytes, target.remaining()));
    }

    @Override
    public void apply(Mutation mutation, Completion done) {
      int from = (int) mutation.offsetBytes();
      int length = (int) mutation.lengthBytes();
      meet(
          "write " + name,
          done,
          () -> {
            switch (mutation) {
              case Mutation.Write write ->
                  write.data().get(write.data().position(), content, from, length);
              case Mutation.Zero zero -> Arrays.fill(content, from, from + length, (byte) 0);
              case Mutation.Discard discard -> Arrays.fill(content, from, from + length, (byte) 0);
            }
          });
    }

    @Override
    public void flush(Completion done) {
      meet("sync " + name, done, () -> {});
    }

    @Override
    public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
      try {
        meet("status " + name);
      } catch (IOException e) {
        done.failed(e);
        return;
      }
      done.succeeded(List.of(new BlockExtent(lengthBytes, BlockExtent.State.DATA)));
    }

    @Override
    public void close() {}
  }

  /// A scratch file in memory whose calls are counted.
  final class Scratch implements SlotFile {
    private final Map<Long, byte[]> clusters = new HashMap<>();

    @Override
    public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
      meet(
          "write scratch",
          done,
          () -> {
            long position = offsetBytes;
            for (ByteBuffer cluster : data) {
              byte[] bytes = new byte[cluster.remaining()];
              cluster.get(bytes);
              put(position, bytes);
              position += bytes.length;
            }
          });
    }

    private synchronized void put(long offsetBytes, byte[] bytes) {
      clusters.put(offsetBytes, bytes);
    }

    private synchronized byte[] at(long offsetBytes) {
      return clusters.getOrDefault(offsetBytes, new byte[0]);
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      meet("read scratch", done, () -> target.put(at(offsetBytes)));
    }

    @Override
    public void punch(long offsetBytes, long lengthBytes, Completion done) {
      meet("punch scratch", done, () -> {});
    }

    @Override
    public void close() {}
  }
}
