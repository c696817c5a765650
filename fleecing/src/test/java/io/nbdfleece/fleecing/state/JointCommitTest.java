// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class JointCommitTest {
  private static final List<String> DISKS = List.of("vda", "vdb");

  /// Two disks, each with a bitmap called old, and a commit under way that calls it new.
  private static final class Rig {
    final SimulatedFiles machine = new SimulatedFiles(new Random(1));
    final FakeHost host = new FakeHost();
    final List<String> lost = new ArrayList<>();
    final Map<String, SimulatedFiles> folders = new LinkedHashMap<>();
    final Map<String, FileDiskState> states = new LinkedHashMap<>();
    final Map<String, String> contents = new LinkedHashMap<>();
    JointCommit joint;

    Rig() throws IOException {
      DISKS.forEach(disk -> folders.put(disk, new SimulatedFiles(machine)));
      joint = start();
      for (String disk : DISKS) {
        contents.put(disk, state(disk).create(StateFixture.GRANULE_BYTES).content());
        state(disk).commit(List.of(record(disk, "old")));
      }
    }

    FileDiskState state(String disk) {
      return Objects.requireNonNull(states.get(disk));
    }

    BitmapRecord record(String disk, String name) {
      return StateFixture.record(name, contents.getOrDefault(disk, ""), BitmapRecord.Form.LIVE);
    }

    JointCommit start() throws IOException {
      JointCommit opened = JointCommit.open(machine, () -> DISKS);
      for (Map.Entry<String, SimulatedFiles> each : folders.entrySet()) {
        GuestDisk disk = new GuestDisk(each.getValue(), host, StateFixture.SIZE_BYTES);
        states.put(
            each.getKey(),
            FileDiskState.open(
                each.getKey(),
                each.getValue(),
                disk,
                Runnable::run,
                host,
                lost::add,
                opened.decided(each.getKey())));
        opened.settled(each.getKey());
      }
      return opened;
    }

    void killAndStart() throws IOException {
      states.values().forEach(FileDiskState::close);
      joint = start();
    }

    Map<FileDiskState, List<BitmapRecord>> lists(String name) {
      Map<FileDiskState, List<BitmapRecord>> lists = new LinkedHashMap<>();
      DISKS.forEach(disk -> lists.put(state(disk), List.of(record(disk, name))));
      return lists;
    }

    List<String> names() {
      return DISKS.stream()
          .flatMap(disk -> state(disk).found().stream())
          .map(BitmapRecord::name)
          .toList();
    }
  }

  @Test
  void failureOfAnyOperationLeavesAllListsOrNone() throws IOException {
    int failed = 0;
    int stood = 0;
    for (int at = 1; ; at++) {
      Rig rig = new Rig();
      int[] left = {at};
      rig.machine.fault =
          _ -> {
            if (--left[0] == 0) {
              throw new IllegalStateException("no space left on device");
            }
          };
      boolean threw = false;
      try {
        rig.joint.commit(rig.lists("new"));
      } catch (IOException e) {
        threw = true;
      }
      if (left[0] > 0) {
        break; // all went well
      }
      boolean lost = !rig.lost.isEmpty();
      rig.killAndStart();
      if (!lost) {
        String expected = threw ? "old" : "new";
        assertEquals(List.of(expected, expected), rig.names(), "operation " + at);
      } else {
        assertFalse(rig.names().contains(threw ? "new" : "old"), "operation " + at);
        assertTrue(rig.names().size() < 2, "operation " + at);
      }
      failed += threw ? 1 : 0;
      stood += threw ? 0 : 1;
    }
    assertTrue(failed > 5 && stood > 2, failed + " " + stood);
  }

  @Test
  void failedCommitCanBeTriedAgain() throws IOException {
    Rig rig = new Rig();
    rig.machine.fault =
        operation -> {
          if (operation.equals("rename transaction.new")) {
            throw new IllegalStateException("no space left on device");
          }
        };
    assertThrows(IOException.class, () -> rig.joint.commit(rig.lists("new")));
    rig.machine.fault = _ -> {};
    rig.joint.commit(rig.lists("newer"));
    rig.killAndStart();
    assertEquals(List.of("newer", "newer"), rig.names());
    assertFalse(rig.machine.names().contains(JointCommit.NAME));
  }

  @Test
  void damagedRecordMakesBitmapsThatDependOnItInconsistent() throws IOException {
    Rig rig = new Rig();
    for (Map.Entry<FileDiskState, List<BitmapRecord>> each : rig.lists("new").entrySet()) {
      var _ = each.getKey().prepare(each.getValue());
    }
    rig.machine.write(JointCommit.NAME, "garbage".getBytes(StandardCharsets.US_ASCII));
    rig.killAndStart();
    assertTrue(rig.state("vda").found().getFirst().inconsistent());
    assertTrue(rig.state("vdb").found().getFirst().inconsistent());
    assertTrue(
        rig.state("vda").finding().contains("transaction of several disks"),
        rig.state("vda").finding());
    assertFalse(rig.machine.names().contains(JointCommit.NAME));
  }

  @Test
  void listThatWasPreparedAndNotDecidedGoes() throws IOException {
    Rig rig = new Rig();
    var _ = rig.state("vda").prepare(List.of(rig.record("vda", "new")));
    rig.killAndStart();
    assertEquals(List.of("old", "old"), rig.names());
    assertFalse(rig.folders.getOrDefault("vda", rig.machine).names().contains(BitmapList.NEXT));
  }
}
