// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.FakeTimer;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class ReopeningTest {
  private final FakeEngine engine = new FakeEngine();
  private final FakeTimer timer = new FakeTimer();
  private final Set<String> exported = new HashSet<>();
  private final BlockGraph graph =
      new BlockGraph(
          engine,
          source -> {
            throw new IOException("none");
          },
          exported::contains,
          timer,
          () -> {});

  @BeforeEach
  void addNodes() throws IOException {
    engine.serve("vda");
    graph.add(zeroes(FakeEngine.DISK_BYTES, false));
    graph.addThrottleGroup("tg", ThrottleLimits.NONE);
    graph.addThrottleGroup("fast", ThrottleLimits.NONE.with(Map.of("bps-total", 1L)));
    graph.add(cbw(OnCbwError.BREAK_GUEST_WRITE, 0));
    graph.add(throttle("vda", "tg"));
  }

  private static NodeSpec zeroes(long sizeBytes, boolean readOnly) {
    return new NodeSpec(
        Optional.of("n"), Optional.of(readOnly), false, new Driver.NullBackend(sizeBytes, true, 0));
  }

  private static NodeSpec cbw(OnCbwError onError, long timeoutSeconds) {
    return new NodeSpec(
        "cbw",
        new Driver.CopyBeforeWrite(
            new Child.Reference("vda"),
            new Child.Reference("n"),
            Optional.empty(),
            onError,
            Duration.ofSeconds(timeoutSeconds),
            0));
  }

  private static NodeSpec throttle(String file, String group) {
    return new NodeSpec("t", new Driver.Throttle(new Child.Reference(file), group));
  }

  private void assertRefused(NodeSpec spec, String message) {
    assertEquals(
        message,
        assertThrows(GraphException.class, () -> graph.reopen(List.of(spec))).getMessage());
  }

  @Test
  void unchangedOptionsAreFine() throws IOException {
    graph.reopen(
        List.of(
            zeroes(FakeEngine.DISK_BYTES, false),
            cbw(OnCbwError.BREAK_GUEST_WRITE, 0),
            throttle("vda", "tg")));
  }

  @Test
  void optionsThatCannotChangeAreNamed() {
    assertRefused(zeroes(5, false), "Cannot change the option 'size'");
    assertRefused(
        new NodeSpec("t", new Driver.Raw(new Child.Reference("vda"))),
        "Cannot change the option 'driver'");
    assertRefused(throttle("n", "tg"), "Cannot change the option 'file'");
    assertRefused(throttle("nope", "tg"), "Cannot find device='' nor node-name='nope'");
    assertRefused(throttle("t", "tg"), "Making 't' a file child of 't' would create a cycle");
    assertRefused(throttle("vda", "nope"), "Throttle group 'nope' does not exist");
    assertRefused(
        new NodeSpec("x", new Driver.Raw(new Child.Reference("vda"))),
        "Failed to find node with node-name='x'");
  }

  @Test
  void theGroupOfAThrottleChangesLive() throws IOException {
    graph.setDrive("vda", "t");
    graph.reopen(List.of(throttle("vda", "fast")));
    assertEquals(1, engine.throttlesOf("vda").size());
    assertEquals(1L, engine.throttlesOf("vda").getFirst().limits().values().get("bps-total"));
    graph.deleteThrottleGroup("tg");
  }

  @Test
  void aNodeSlippedBelowAFilterInUseIsInserted() throws IOException {
    graph.setDrive("vda", "t");
    graph.reopen(List.of(throttle("cbw", "tg")));
    assertEquals(Set.of("cbw"), engine.snapshots.keySet());
    graph.reopen(List.of(throttle("vda", "tg")));
    assertTrue(engine.snapshots.isEmpty());
    graph.delete("cbw");
  }

  @Test
  void termsOfASnapshotChangeOnlyBeforeItIsTaken() throws IOException {
    graph.reopen(List.of(cbw(OnCbwError.BREAK_SNAPSHOT, 7)));
    graph.setDrive("vda", "cbw");
    assertEquals(OnCbwError.BREAK_SNAPSHOT, engine.taken("cbw").onCbwError());
    assertRefused(cbw(OnCbwError.BREAK_GUEST_WRITE, 7), "Cannot change the option 'on-cbw-error'");
    assertRefused(cbw(OnCbwError.BREAK_SNAPSHOT, 8), "Cannot change the option 'cbw-timeout'");
  }

  @Test
  void allNodesAreReopenedOrNone() {
    assertEquals(
        "Throttle group 'nope' does not exist",
        assertThrows(
                Exception.class,
                () ->
                    graph.reopen(
                        List.of(zeroes(FakeEngine.DISK_BYTES, true), throttle("vda", "nope"))))
            .getMessage());
    assertFalse(graph.isReadOnly("n"));
  }

  @Test
  void anAddedDiskBecomesReadOnlyUnlessItIsExported() throws IOException {
    exported.add("n");
    assertRefused(
        zeroes(FakeEngine.DISK_BYTES, true),
        "Read-only block node 'n' cannot support read-write users");
    exported.clear();
    graph.reopen(List.of(zeroes(FakeEngine.DISK_BYTES, true)));
    assertTrue(graph.isReadOnly("n"));
    graph.reopen(List.of(zeroes(FakeEngine.DISK_BYTES, false)));
    assertFalse(graph.isReadOnly("n"));
  }

  @Test
  void aServedDiskIsNotReopened() {
    assertRefused(
        new NodeSpec("vda", new Driver.Raw(new Child.Reference("n"))),
        "Node 'vda' was not made by blockdev-add and cannot be reopened: give its options to"
            + " `nbdfleece serve`");
  }
}
