// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.FakeTimer;
import io.nbdfleece.fleecing.block.NullNode;
import io.nbdfleece.fleecing.graph.BlockGraph.Target;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/// Exports, views with their bitmaps, and deletions: each change as a whole or not at all.
final class WholeChangeTest {
  private final FakeEngine engine = new FakeEngine();
  private final FakeTimer timer = new FakeTimer();
  private final Set<String> exported = new HashSet<>();
  private final BlockGraph graph =
      new BlockGraph(
          engine,
          source -> new NullNode(1 << 20, NullNode.Content.UNKNOWN, 0, timer),
          exported::contains,
          timer,
          () -> {});

  @BeforeEach
  void serveADisk() {
    engine.serve("vda");
  }

  private static NodeSpec zeroes(String node, long sizeBytes) {
    return new NodeSpec(node, new Driver.NullBackend(sizeBytes, true, 0));
  }

  private static Child named(String name) {
    return new Child.Reference(name);
  }

  private static NodeSpec view(String node, String cbw) {
    return new NodeSpec(node, new Driver.SnapshotAccess(named(cbw)));
  }

  private void addCopier(String name, String file) throws IOException {
    graph.add(zeroes("scratch", FakeEngine.DISK_BYTES));
    graph.add(
        new NodeSpec(
            name,
            new Driver.CopyBeforeWrite(
                named(file),
                named("scratch"),
                Optional.empty(),
                OnCbwError.BREAK_SNAPSHOT,
                Duration.ZERO,
                0)));
  }

  private static void assertRefused(Executable what, String message) {
    assertEquals(message, assertThrows(GraphException.class, what).getMessage());
  }

  @Test
  void anExportThatFailsLeavesNoSnapshotBehind() throws IOException {
    graph.add(zeroes("data", FakeEngine.DISK_BYTES));
    addCopier("cbw", "data");
    graph.add(view("sa", "cbw"));
    for (String node : List.of("cbw", "sa")) {
      assertRefused(
          () ->
              graph.export(
                  node,
                  node.equals("cbw"),
                  () -> {
                    assertEquals(Set.of("cbw"), engine.snapshots.keySet());
                    assertEquals(
                        Optional.of(new Target.FrozenDisk("cbw", "data")), graph.find("sa"));
                    throw GraphException.invalid("no such bitmap");
                  }),
          "no such bitmap");
      assertTrue(engine.snapshots.isEmpty());
      assertEquals(Optional.of(new Target.LiveDisk("data")), graph.find("sa"));
    }
    graph.export("sa", false, () -> {}); // so that it can be tried again
    assertEquals(Set.of("cbw"), engine.snapshots.keySet());
  }

  @Test
  void anExportThatFailsLeavesASnapshotThatWasThereBefore() throws IOException {
    addCopier("cbw", "vda");
    graph.add(view("sa", "cbw"));
    graph.setDrive("vda", "cbw");
    assertRefused(
        () ->
            graph.export(
                "sa",
                false,
                () -> {
                  throw GraphException.busy("name taken");
                }),
        "name taken");
    assertEquals(Set.of("cbw"), engine.snapshots.keySet());
    assertEquals(Optional.of(new Target.FrozenDisk("cbw", "vda")), graph.find("sa"));
  }

  @Test
  void anExportForReadingTakesNoSnapshot() throws IOException {
    addCopier("cbw", "vda");
    graph.export("cbw", false, () -> {});
    assertTrue(engine.snapshots.isEmpty());
  }

  @Test
  void whenABackendCannotGoNothingHasEnded() throws IOException {
    graph.add(
        new NodeSpec(
            "cbw",
            new Driver.CopyBeforeWrite(
                new Child.Inline(
                    new NodeSpec("inner", new Driver.NullBackend(FakeEngine.DISK_BYTES, true, 0))),
                new Child.Inline(
                    new NodeSpec(
                        "scratch", new Driver.NullBackend(FakeEngine.DISK_BYTES, true, 0))),
                Optional.empty(),
                OnCbwError.BREAK_SNAPSHOT,
                Duration.ZERO,
                0)));
    graph.export("cbw", true, () -> {});
    String disk = graph.bitmapOwner("cbw").orElseThrow();
    SnapshotRequest other =
        new SnapshotRequest(
            List.of(disk),
            Optional.of("other"),
            SnapshotRequest.Access.READ_ONLY,
            OnCbwError.BREAK_SNAPSHOT,
            Duration.ZERO);
    engine.snapshots.put("other", other);
    assertThrows(IOException.class, () -> graph.delete("cbw"));
    assertEquals(Set.of("cbw", "other"), engine.snapshots.keySet());
    assertTrue(graph.find("inner").isPresent());
    engine.snapshots.remove("other");
    graph.delete("cbw");
    assertTrue(engine.snapshots.isEmpty());
    assertTrue(graph.find("inner").isEmpty());
  }

  @Test
  void aViewHasBitmapsOfItsOwnAsLongAsItIsThere() throws IOException {
    addCopier("cbw", "vda");
    graph.add(view("sa", "cbw"));
    assertEquals(Optional.of("sa"), graph.bitmapOwner("sa"));
    assertEquals(Optional.of("vda"), graph.bitmapOwner("cbw"));
    assertEquals(Optional.of("vda"), graph.bitmapOwner("vda"));
    assertEquals(Optional.empty(), graph.bitmapOwner("nope"));
    assertTrue(engine.bitmaps("sa").isEmpty());
    engine.usedViews.add("sa");
    assertRefused(() -> graph.delete("sa"), "Node sa is in use");
    engine.usedViews.clear();
    graph.delete("sa");
    assertFalse(engine.bitmaps.containsKey("sa"));
  }

  @Test
  void aBitmapOfAViewIsNoneToTakeASnapshotOf() throws IOException {
    addCopier("first", "vda");
    graph.add(view("sa", "first"));
    engine.addBitmap("sa", "b0", false);
    engine.addBitmap("vda", "b0", false);
    assertRefused(
        () ->
            graph.add(
                new NodeSpec(
                    "second",
                    new Driver.CopyBeforeWrite(
                        named("vda"),
                        named("scratch"),
                        Optional.of(new NodeSpec.Bitmap("sa", "b0")),
                        OnCbwError.BREAK_SNAPSHOT,
                        Duration.ZERO,
                        0))),
        "Bitmap 'b0' of node 'sa' cannot be used for a snapshot of 'vda': name a bitmap of 'vda'");
  }
}
