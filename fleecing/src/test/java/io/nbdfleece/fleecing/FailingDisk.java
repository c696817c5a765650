// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/// A disk in memory of whose calls one may fail, and what its guest and a backup may see of that
/// failure, or of that of the scratch file: the table of ARCHITECTURE.md ("When preserving fails").
final class FailingDisk {
  static final int CLUSTER = 4096;

  final String name;
  final NthCall.Disk node;

  /// What the disk must hold: each change that succeeded, and no other.
  final byte[] expected;

  private final NthCall calls;
  private final OnCbwError policy;
  private final Random random;

  /// Clusters that were told to be lost: snapshot and offset.
  private final Set<String> told = new ConcurrentSkipListSet<>();

  private @Nullable FleecingEngine engine;

  /// @param policy of the snapshots that are pulled
  FailingDisk(String name, int clusters, OnCbwError policy, NthCall calls) {
    this.name = name;
    this.calls = calls;
    this.policy = policy;
    this.random = new Random(name.hashCode());
    byte[] content = new byte[clusters * CLUSTER];
    random.nextBytes(content);
    this.expected = content.clone();
    this.node = calls.new Disk(name, content);
  }

  /// Adds it to an engine; to another one later, when that has been closed.
  void addTo(FleecingEngine serving) throws IOException {
    engine = serving;
    var _ =
        serving.subscribe(
            event -> {
              if (event instanceof EngineEvent.ClusterLost lost && lost.disk().equals(name)) {
                lost.snapshots().forEach(each -> told.add(each + "+" + lost.offsetBytes()));
              }
            });
    var _ = serving.addDisk(new DiskConfig(name, "memory", DiskConfig.Access.READ_WRITE), node);
  }

  private BlockNode top() {
    if (engine == null) {
      throw new IllegalStateException("not served");
    }
    return engine.disk(name).orElseThrow().top();
  }

  List<Integer> allOffsets() {
    return IntStream.range(0, expected.length / CLUSTER).map(i -> i * CLUSTER).boxed().toList();
  }

  /// The guest changes the disk, in one of the ways there are.
  ///
  /// @return whether it did
  boolean change(int offset, int length) {
    byte[] now = new byte[length];
    Mutation mutation =
        switch (random.nextInt(4)) {
          case 0 -> new Mutation.Discard(offset, length, Mutation.Durability.CACHED);
          case 1 ->
              new Mutation.Zero(
                  offset, length, Mutation.Provisioning.KEEP, Mutation.Durability.CACHED);
          default -> {
            random.nextBytes(now);
            yield new Mutation.Write(
                offset,
                ByteBuffer.allocateDirect(length).put(now).flip(),
                Mutation.Durability.CACHED);
          }
        };
    boolean done = true;
    try {
      EngineRig.Done applied = new EngineRig.Done();
      top().apply(mutation, applied);
      var _ = EngineRig.get(applied.future);
      System.arraycopy(now, 0, expected, offset, length);
    } catch (IOException e) {
      boolean ofDisk =
          calls.hasFailed("write " + name) && EngineRig.message(e).contains("write " + name);
      boolean ofPolicy =
          calls.failed().isPresent()
              && policy == OnCbwError.BREAK_GUEST_WRITE
              && EngineRig.message(e).contains("break-guest-write");
      assertTrue(ofDisk || ofPolicy, () -> "a guest write failed: " + e + why());
      done = false;
    }
    assertEquals(-1, Arrays.mismatch(expected, node.content), () -> "the disk is wrong" + why());
    return done;
  }

  void flush() {
    try {
      EngineRig.Done done = new EngineRig.Done();
      top().flush(done);
      var _ = EngineRig.get(done.future);
    } catch (IOException e) {
      assertTrue(calls.hasFailed("sync " + name), () -> "a flush failed: " + e + why());
    }
  }

  private String why() {
    return " after a failed call: " + calls.failed();
  }

  /// What a backup has of a view.
  static final class Pulled {
    final byte[] copy;

    /// Offsets of the clusters that it could not read.
    final Set<Integer> lacking;

    private final boolean broken;

    Pulled(byte[] copy, Set<Integer> lacking, boolean broken) {
      this.copy = copy;
      this.lacking = lacking;
      this.broken = broken;
    }

    boolean isWhole() {
      return lacking.isEmpty() && !broken;
    }
  }

  /// Reads those clusters, those that failed once more, and looks whether each byte and each
  /// failure is as it may be.
  Pulled pull(SnapshotView view, byte[] truth, List<Integer> offsets) {
    byte[] copy = new byte[truth.length];
    Set<Integer> lacking = new TreeSet<>();
    for (int offset : offsets) {
      boolean got = read(view, truth, offset, copy);
      if (!got) {
        got = read(view, truth, offset, copy);
      }
      if (!got) {
        lacking.add(offset);
      }
    }
    boolean broken = view.brokenBecause().isPresent();
    if (broken) {
      assertEquals(OnCbwError.BREAK_SNAPSHOT, policy);
      assertTrue(calls.mayFail("write scratch"), () -> "broken: " + view.brokenBecause() + why());
    } else {
      Set<Integer> lost = new TreeSet<>();
      for (SnapshotView.LostRange range : view.statistics().lostRanges()) {
        for (int at = 0; at < range.lengthBytes(); at += CLUSTER) {
          lost.add((int) range.offsetBytes() + at);
        }
      }
      lost.retainAll(offsets);
      assertTrue(
          calls.isStill("read " + name) ? lacking.containsAll(lost) : lacking.equals(lost),
          () -> "lacking " + lacking + ", told: " + lost + why());
    }
    return new Pulled(copy, lacking, broken);
  }

  /// @return whether it could be read
  private boolean read(SnapshotView view, byte[] truth, int offset, byte[] copy) {
    String cluster = view.terms().name() + "+" + offset;
    try {
      byte[] got = EngineRig.read(view, offset, CLUSTER);
      assertFalse(told.contains(cluster), "a lost cluster was read");
      assertEquals(
          -1,
          Arrays.mismatch(got, Arrays.copyOfRange(truth, offset, offset + CLUSTER)),
          () -> "wrong bytes at " + offset + why());
      System.arraycopy(got, 0, copy, offset, CLUSTER);
      return true;
    } catch (IOException e) {
      String text = EngineRig.message(e);
      boolean ofDisk = calls.hasFailed("read " + name);
      if (text.contains("is lost: ")) {
        Awaitility.await().pollInterval(Duration.ofMillis(1)).until(() -> told.contains(cluster));
        assertTrue(ofDisk || calls.mayFail("read scratch"), () -> "lost: " + text + why());
      } else if (text.contains(SnapshotView.BROKEN_TEXT)) {
        assertTrue(calls.mayFail("write scratch"), () -> text + why());
      } else {
        assertTrue(ofDisk && text.contains("read " + name), () -> text + why());
      }
      return false;
    }
  }
}
