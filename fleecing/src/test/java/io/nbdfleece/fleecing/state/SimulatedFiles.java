// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;

/// A folder that a power failure tears: of what was not forced, each sector of 512 bytes and each
/// change of a name is there or not.
///
/// Every operation is one step or more. At the step of [#crashAt] it throws [PowerFailure] and
/// nothing works until [#reboot].
final class SimulatedFiles implements StateFiles {
  private static final int SECTOR_BYTES = 512;

  private final Random random;
  private Map<String, Inode> names = new HashMap<>();
  private Map<String, Inode> durableNames = new HashMap<>();
  private final List<Consumer<Map<String, Inode>>> pending = new ArrayList<>();
  private final SimulatedFiles machine;
  private boolean dead;
  private int steps;

  int crashAt = Integer.MAX_VALUE;

  /// What others do meanwhile.
  Runnable interleave = () -> {};

  /// From now on operations fail whose text it accepts.
  Consumer<String> fault = _ -> {};

  /// Names of files whose memory has been given back.
  final List<String> unmapped = new ArrayList<>();

  SimulatedFiles(Random random) {
    this.random = random;
    this.machine = this;
  }

  /// Another folder of the machine: its steps are steps of that one, and it has to be told of the
  /// power failure too.
  SimulatedFiles(SimulatedFiles machine) {
    this.random = machine.random;
    this.machine = machine.machine;
  }

  static final class PowerFailure extends Error {
    private static final long serialVersionUID = 1;

    PowerFailure() {
      super("power failure", null, false, false);
    }
  }

  /// Time in which others go on.
  private interface Wait {
    void run() throws IOException;
  }

  private static final class Inode {
    final int sizeBytes;
    final MemorySegment content;
    byte[] durable = new byte[0];

    /// How many forces have begun, and the last one of which this is the result.
    private int forcesBegun;

    private int forcedBy;

    Inode(int sizeBytes) {
      this.sizeBytes = sizeBytes;
      this.content = MemorySegment.ofArray(new long[Math.ceilDiv(sizeBytes, 8)]);
    }

    byte[] bytes() {
      byte[] copy = new byte[sizeBytes];
      MemorySegment.copy(content, ValueLayout.JAVA_BYTE, 0, copy, 0, sizeBytes);
      return copy;
    }

    void put(long offset, byte[] bytes) {
      MemorySegment.copy(bytes, 0, content, ValueLayout.JAVA_BYTE, offset, bytes.length);
    }

    /// What is set before the call is durable at the return. Of two that overlap, the one that
    /// began first takes back nothing of the other.
    void force(Wait meanwhile) throws IOException {
      int mine = ++forcesBegun;
      byte[] now = bytes();
      meanwhile.run(); // what is set from here on is not in it
      if (mine > forcedBy) {
        forcedBy = mine;
        durable = now;
      }
    }

    Inode torn(Random random) {
      boolean resized = durable.length == sizeBytes || random.nextBoolean();
      byte[] now = bytes();
      Inode result = new Inode(resized ? sizeBytes : durable.length);
      byte[] mixed = new byte[result.sizeBytes];
      for (int at = 0; at < mixed.length; at += SECTOR_BYTES) {
        int length = Math.min(SECTOR_BYTES, mixed.length - at);
        boolean old = random.nextBoolean();
        if (!old) {
          System.arraycopy(now, at, mixed, at, length);
        } else if (at < durable.length) {
          System.arraycopy(durable, at, mixed, at, Math.min(length, durable.length - at));
        }
      }
      result.put(0, mixed);
      result.durable = mixed;
      return result;
    }
  }

  int steps() {
    return steps;
  }

  /// Everybody meets here.
  void step(String operation) throws IOException {
    if (machine != this) {
      machine.step(operation);
      return;
    }
    if (dead) {
      throw new PowerFailure();
    }
    steps++;
    if (steps == crashAt) {
      dead = true;
      throw new PowerFailure();
    }
    try {
      fault.accept(operation);
    } catch (IllegalStateException e) {
      throw new IOException(e.getMessage(), e);
    }
    interleave.run();
  }

  /// What is left after a power failure.
  void reboot() {
    dead = false;
    crashAt = Integer.MAX_VALUE;
    for (Consumer<Map<String, Inode>> change : pending) {
      if (random.nextBoolean()) {
        change.accept(durableNames);
      }
    }
    pending.clear();
    Map<Inode, Inode> torn = new HashMap<>();
    Map<String, Inode> left = new HashMap<>();
    durableNames
        .entrySet()
        .forEach(
            each ->
                left.put(
                    each.getKey(),
                    torn.computeIfAbsent(each.getValue(), inode -> inode.torn(random))));
    durableNames = left;
    names = new HashMap<>(left);
  }

  private void change(Consumer<Map<String, Inode>> change) {
    change.accept(names);
    pending.add(change);
  }

  private Inode inode(String name) throws IOException {
    Inode inode = names.get(name);
    if (inode == null) {
      throw new NoSuchFileException(name);
    }
    return inode;
  }

  @Override
  public List<String> names() {
    return names.keySet().stream().sorted().toList();
  }

  @Override
  public byte[] read(String name, long bytesMax) throws IOException {
    step("read " + name);
    Inode inode = inode(name);
    if (inode.sizeBytes > bytesMax) {
      throw new IOException(name + " is too long");
    }
    return inode.bytes();
  }

  @Override
  public void write(String name, byte[] content) throws IOException {
    make(name, content.length, content);
  }

  private Inode make(String name, int sizeBytes, byte[] content) throws IOException {
    step("create " + name);
    Inode inode = new Inode(sizeBytes);
    change(map -> map.put(name, inode));
    step("fill " + name);
    inode.put(0, content);
    step("force " + name);
    inode.durable = inode.bytes();
    return inode;
  }

  @Override
  public MappedFile createMapped(String name, long sizeBytes, byte[] head) throws IOException {
    if (names.containsKey(name)) {
      throw new IOException(name + " is there");
    }
    return mapped(name, make(name, (int) sizeBytes, head));
  }

  @Override
  public MappedFile map(String name, long sizeBytes) throws IOException {
    step("map " + name);
    Inode inode = inode(name);
    if (inode.sizeBytes != sizeBytes) {
      throw new IOException(name + ": size: " + inode.sizeBytes + " (expected: " + sizeBytes + ")");
    }
    return mapped(name, inode);
  }

  private MappedFile mapped(String name, Inode inode) {
    return new MappedFile() {
      @Override
      public MemorySegment memory() {
        return inode.content;
      }

      @Override
      public void force() throws IOException {
        step("force " + name);
        inode.force(() -> step("forcing " + name));
      }

      @Override
      public void close() {
        unmapped.add(name);
      }
    };
  }

  @Override
  public PatchedFile patch(String name) throws IOException {
    Inode inode = inode(name);
    return new PatchedFile() {
      @Override
      public void write(long offsetBytes, byte[] content) throws IOException {
        step("write " + name);
        inode.put(offsetBytes, content);
      }

      @Override
      public void force() throws IOException {
        step("force " + name);
        inode.force(() -> step("forcing " + name));
      }

      @Override
      public void close() {}
    };
  }

  @Override
  public void rename(String from, String to) throws IOException {
    step("rename " + from);
    Inode inode = inode(from);
    change(
        map -> {
          map.remove(from, inode);
          map.put(to, inode);
        });
  }

  @Override
  public void delete(String name) throws IOException {
    step("delete " + name);
    change(map -> map.remove(name));
  }

  @Override
  public void forceNames() throws IOException {
    step("force names");
    List<Consumer<Map<String, Inode>>> now = List.copyOf(pending);
    step("forcing names");
    for (Consumer<Map<String, Inode>> change : now) {
      if (pending.remove(change)) { // else another force has been faster
        change.accept(durableNames);
      }
    }
  }

  /// Flips a bit of a file.
  void damage(String name, long bit) throws IOException {
    Inode inode = inode(name);
    byte[] bytes = inode.bytes();
    bytes[(int) (bit >>> 3)] ^= (byte) (1 << (bit & 7));
    inode.put(0, bytes);
    inode.durable = bytes;
  }

  /// Cuts a file.
  void cut(String name, int sizeBytes) throws IOException {
    byte[] bytes = Arrays.copyOf(inode(name).bytes(), sizeBytes);
    Inode inode = new Inode(sizeBytes);
    inode.put(0, bytes);
    inode.durable = bytes;
    names.put(name, inode);
    durableNames.put(name, inode);
  }

  SimulatedFiles copy() {
    SimulatedFiles copy = new SimulatedFiles(random);
    names.forEach(
        (name, inode) -> {
          Inode twin = new Inode(inode.sizeBytes);
          twin.put(0, inode.bytes());
          twin.durable = twin.bytes();
          copy.names.put(name, twin);
          copy.durableNames.put(name, twin);
        });
    return copy;
  }
}
