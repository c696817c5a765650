// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.fleecing.NthCall.Stretch;
import io.nbdfleece.fleecing.TransactionAction.AddBitmap;
import io.nbdfleece.fleecing.TransactionAction.ClearBitmap;
import io.nbdfleece.fleecing.TransactionAction.DeleteCheckpoint;
import io.nbdfleece.fleecing.TransactionAction.DisableBitmap;
import io.nbdfleece.fleecing.TransactionAction.MergeBitmaps;
import io.nbdfleece.fleecing.TransactionAction.RemoveBitmap;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Three disks, backed up together in a chain over three runs of the server, with each I/O call on
/// the state directory, the disks and the scratch file failing once, with EIO and with ENOSPC.
///
/// Each backup is one transaction: a snapshot of all three, a new checkpoint and, with it, bitmaps
/// that begin, are merged and cleared, disabled and removed. It happens on all disks or on none;
/// what it froze is of one instant; and whatever the next run finds, no bitmap that can be used
/// lacks a write.
@Timeout(300)
final class FailedTransactionCallTest {
  @TempDir(factory = MemoryDirectory.class)
  private Path directory;

  private final Tally tally = new Tally();
  private int folders;

  private static void addBitmap(
      ChainedDisk disk, List<TransactionAction> actions, Map<String, Marks> marks) {
    actions.add(
        new AddBitmap(disk.ref("b0"), OptionalInt.of(FailingDisk.CLUSTER), disk.keepsState, false));
    marks.put("b0", new Marks());
  }

  /// What the bitmap held goes to another one, which does not record.
  private static void keepAndClear(
      ChainedDisk disk, List<TransactionAction> actions, Map<String, Marks> marks) {
    actions.add(new AddBitmap(disk.ref("kept"), OptionalInt.empty(), disk.keepsState, true));
    actions.add(new MergeBitmaps(disk.ref("kept"), List.of(disk.ref("b0"))));
    actions.add(new ClearBitmap(disk.ref("b0")));
    marks.put("kept", Optional.ofNullable(marks.get("b0")).orElseThrow().still());
    marks.put("b0", new Marks());
  }

  /// Of those that this run of the server has found.
  private static void removeAndDisable(
      ChainedDisk disk, List<TransactionAction> actions, Map<String, Marks> marks) {
    if (marks.remove("kept") != null) {
      actions.add(new RemoveBitmap(disk.ref("kept")));
    }
    if (marks.computeIfPresent("b0", (_, marked) -> marked.still()) != null) {
      actions.add(new DisableBitmap(disk.ref("b0")));
    }
    if (marks.containsKey("c1") && marks.remove("c0") != null) {
      actions.add(new DeleteCheckpoint(disk.name(), "c0"));
    }
  }

  private FailedTransactions play(NthCall calls) throws IOException {
    Path folder = Files.createDirectory(directory.resolve("n" + ++folders));
    FailedTransactions play = new FailedTransactions(folder, calls);
    if (play.open()) {
      try {
        if (play.backUp("s0", "c0", FailedTransactionCallTest::addBitmap)) {
          play.write(3, 28);
          var _ = play.backUp("s1", "c1", FailedTransactionCallTest::keepAndClear);
          play.write(11);
        }
      } finally {
        play.close();
      }
    }
    if (play.open()) {
      try {
        play.write(20);
        var _ = play.backUp("s2", "c2", FailedTransactionCallTest::removeAndDisable);
        play.write(24);
      } finally {
        play.close();
      }
    }
    calls.end();
    assertTrue(play.open());
    try {
      assertTrue(play.backUp("s3", "c3", (_, _, _) -> {}));
    } finally {
      play.close();
    }
    return play;
  }

  @Test
  void transactionIsOnAllDisksOrOnNoneWhicheverCallFails() throws IOException {
    NthCall counted = new NthCall(0, 0, Stretch.ONCE);
    FailedTransactions whole = play(counted);
    assertEquals(0, whole.refused);
    assertEquals(7, whole.incremental, "of 12; of the disk in memory one of 4");
    // A few more: how many there are depends on what the spiller does when.
    for (int n = 1; n <= counted.count() + 5; n++) {
      Optional<String> failed = play(n, Errno.EIO);
      if (failed.filter(FailedTransactionCallTest::takesSpace).isPresent()) {
        var _ = play(n, Errno.ENOSPC);
      }
    }
    System.out.println("FailedTransactionCallTest: " + tally);
    assertTrue(tally.struck > tally.runs / 2, "it misses its purpose");
    assertTrue(
        tally.refused > 0 && tally.statesLost > 0 && tally.inconsistent > 0,
        "it misses its purpose");
  }

  private static boolean takesSpace(String call) {
    return !call.matches("(read|identify|stamp|list|map|open) .*");
  }

  /// @return the call that failed
  private Optional<String> play(int n, int errno) {
    NthCall nth = new NthCall(n, errno, Stretch.ONCE);
    try {
      FailedTransactions play = play(nth);
      tally.runs++;
      tally.struck += nth.failed().isPresent() ? 1 : 0;
      tally.refused += play.refused;
      tally.statesLost += play.statesLost;
      tally.inconsistent += play.inconsistent;
      return nth.failed();
    } catch (AssertionError | RuntimeException | IOException e) {
      throw new AssertionError("call " + n + " failed: " + nth.failed(), e);
    }
  }

  private static final class Tally {
    int runs;
    int struck;
    int refused;
    int statesLost;
    int inconsistent;

    @Override
    public String toString() {
      return "runs: %d, calls failed: %d, commands refused: %d, states lost: %d, inconsistent: %d"
          .formatted(runs, struck, refused, statesLost, inconsistent);
    }
  }
}
