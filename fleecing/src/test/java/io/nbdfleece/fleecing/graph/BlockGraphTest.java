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
import io.nbdfleece.fleecing.block.ThrottleLimits;
import io.nbdfleece.fleecing.graph.BlockGraph.Target;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import io.nbdfleece.fleecing.graph.NodeSpec.FileKind;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class BlockGraphTest {
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

  @TempDir private Path directory;

  @BeforeEach
  void serveTwoDisks() {
    engine.serve("vda");
    engine.serve("vdb");
  }

  private String image(String name, long sizeBytes) throws IOException {
    Path path = directory.resolve(name);
    try (FileChannel channel =
        FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      if (sizeBytes > 0) {
        channel.write(java.nio.ByteBuffer.wrap(new byte[1]), sizeBytes - 1);
      }
    }
    return path.toString();
  }

  private static NodeSpec file(String node, String filename) {
    return new NodeSpec(node, new Driver.FileBackend(filename, FileKind.REGULAR));
  }

  private static NodeSpec zeroes(String node, long sizeBytes) {
    return new NodeSpec(node, new Driver.NullBackend(sizeBytes, true, 0));
  }

  private static Child named(String name) {
    return new Child.Reference(name);
  }

  private static Driver.CopyBeforeWrite cbw(String file, String target) {
    return new Driver.CopyBeforeWrite(
        named(file),
        named(target),
        Optional.empty(),
        OnCbwError.BREAK_GUEST_WRITE,
        Duration.ZERO,
        0);
  }

  private static NodeSpec view(String node, String cbw) {
    return new NodeSpec(node, new Driver.SnapshotAccess(named(cbw)));
  }

  private static NodeSpec throttle(String node, String file, String group) {
    return new NodeSpec(node, new Driver.Throttle(named(file), group));
  }

  private void addCopier(String name, String file) throws IOException {
    if (graph.find("scratch").isEmpty()) {
      graph.add(zeroes("scratch", FakeEngine.DISK_BYTES));
    }
    graph.add(new NodeSpec(name, cbw(file, "scratch")));
  }

  private static void assertRefused(Executable what, String message) {
    assertEquals(message, assertThrows(GraphException.class, what).getMessage());
  }

  @ParameterizedTest
  @CsvSource({
    "1b,Invalid node-name: '1b'",
    "'',Invalid node-name: ''",
    "a#b,Invalid node-name: 'a#b'",
    "vda,Duplicate nodes with node-name='vda'",
    "there,Duplicate nodes with node-name='there'",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,Node name too long",
  })
  void namesAreCheckedAsQemuChecksThem(String name, String message) throws IOException {
    graph.add(zeroes("there", 5));
    assertRefused(() -> graph.add(zeroes(name, 5)), message);
  }

  @Test
  void theOutermostNodeMustHaveAName() {
    assertRefused(
        () ->
            graph.add(
                new NodeSpec(Optional.empty(), Optional.empty(), false, zeroes("x", 5).driver())),
        "'node-name' must be specified for the root node");
  }

  @Test
  void aFileBecomesADiskOfTheEngine() throws IOException {
    String path = image("a.img", 4096);
    graph.add(file("a", path));
    assertEquals(List.of("open a READ_WRITE"), engine.log);
    assertEquals(Optional.of(new Target.LiveDisk("a")), graph.find("a"));
    assertTrue(graph.nodes().contains(new BlockGraph.NodeInfo("a", "file", "a", path, false)));
    assertTrue(
        graph
            .nodes()
            .contains(new BlockGraph.NodeInfo("vda", "raw", "vda", "/srv/vda.img", false)));
    graph.delete("a");
    assertEquals("remove a", engine.log.getLast());
    assertTrue(graph.find("a").isEmpty());
  }

  @Test
  void whatCannotBeOpenedIsRefusedWithQemusTexts() throws IOException {
    String path = image("a.img", 4096);
    assertRefused(
        () -> graph.add(file("x", "/nope")), "Could not open '/nope': No such file or directory");
    assertRefused(
        () -> graph.add(file("x", directory.toString())),
        "Could not open '" + directory + "': Is a directory");
    assertRefused(
        () -> graph.add(file("x", "/dev/null")),
        "'file' driver requires '/dev/null' to be a regular file");
    assertRefused(
        () -> graph.add(new NodeSpec("x", new Driver.FileBackend(path, FileKind.DEVICE))),
        "'host_device' driver requires '" + path + "' to be either a character or block device");
    assertTrue(engine.log.isEmpty());
  }

  @Test
  void aFileInsideOfARawNodeGoesWithIt() throws IOException {
    NodeSpec inner = file("inner", image("a.img", 4096));
    graph.add(new NodeSpec("r", new Driver.Raw(new Child.Inline(inner))));
    assertEquals(Optional.of(new Target.LiveDisk("r")), graph.find("inner"));
    assertRefused(() -> graph.delete("inner"), "Node inner is not owned by the monitor");
    graph.delete("r");
    assertEquals(List.of("open r READ_WRITE", "remove r"), engine.log);
    assertTrue(graph.find("inner").isEmpty());
  }

  @Test
  void whatFailsLateTakesBackWhatWasOpened() throws IOException {
    NodeSpec inner = file("inner", image("a.img", 4096));
    assertRefused(
        () -> graph.add(new NodeSpec("inner", new Driver.Raw(new Child.Inline(inner)))),
        "Duplicate nodes with node-name='inner'");
    assertEquals(List.of("open inner READ_WRITE", "remove inner"), engine.log);
    assertTrue(graph.find("inner").isEmpty());
  }

  @Test
  void readOnlyHoldsForWhatIsInside() throws IOException {
    NodeSpec inner = file("inner", image("a.img", 4096));
    graph.add(
        new NodeSpec(
            Optional.of("r"), Optional.of(true), false, new Driver.Raw(new Child.Inline(inner))));
    assertEquals(List.of("open r READ_ONLY"), engine.log);
    assertTrue(graph.isReadOnly("inner"));
    assertFalse(graph.isReadOnly("vda"));
  }

  @Test
  void childrenMustBeThere() {
    assertRefused(
        () -> graph.add(new NodeSpec("r", new Driver.Raw(named("zzz")))),
        "Cannot find device='zzz' nor node-name='zzz'");
  }

  @Test
  void aCopyBeforeWriteNodeIsChecked() throws IOException {
    graph.add(zeroes("n32", 32 << 20));
    graph.add(zeroes("n64", 64 << 20));
    graph.add(
        new NodeSpec(
            Optional.of("ro"),
            Optional.of(true),
            false,
            new Driver.NullBackend(64 << 20, true, 0)));
    assertRefused(
        () -> graph.add(new NodeSpec("c", cbw("vda", "zz"))),
        "Cannot find device='zz' nor node-name='zz'");
    assertRefused(
        () -> graph.add(new NodeSpec("c", cbw("vda", "n32"))),
        "Source and target image have different sizes");
    assertRefused(
        () -> graph.add(new NodeSpec("c", cbw("vda", "vda"))),
        "Source and target cannot be the same");
    assertRefused(() -> graph.add(new NodeSpec("c", cbw("vda", "ro"))), "Block node is read-only");
    assertRefused(
        () ->
            graph.add(
                new NodeSpec(
                    "c",
                    new Driver.CopyBeforeWrite(
                        named("vda"),
                        named("n64"),
                        Optional.empty(),
                        OnCbwError.BREAK_SNAPSHOT,
                        Duration.ZERO,
                        5))),
        "Cannot create block-copy-state: min-cluster-size needs to be a power of 2");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "vda|nope|Dirty bitmap 'nope' not found",
        "zz|b0|Node 'zz' not found",
        "vda|bad|Bitmap 'bad' is inconsistent and cannot be used",
        "vdb|b1|Bitmap 'b1' of node 'vdb' cannot be used for a snapshot of 'vda': name a bitmap of"
            + " 'vda'",
      })
  void theBitmapOfACopyBeforeWriteNodeIsChecked(String node, String bitmap, String message)
      throws IOException {
    engine.addBitmap("vda", "b0", false);
    engine.addBitmap("vda", "bad", true);
    engine.addBitmap("vdb", "b1", false);
    graph.add(zeroes("scratch", FakeEngine.DISK_BYTES));
    assertRefused(() -> graph.add(withBitmap(node, bitmap)), message);
  }

  private static NodeSpec withBitmap(String node, String bitmap) {
    return new NodeSpec(
        "cbw",
        new Driver.CopyBeforeWrite(
            named("vda"),
            named("scratch"),
            Optional.of(new NodeSpec.Bitmap(node, bitmap)),
            OnCbwError.BREAK_SNAPSHOT,
            Duration.ofSeconds(45),
            65536));
  }

  @Test
  void theSnapshotIsTakenWhenTheDeviceIsPutOnTheNode() throws IOException {
    addCopier("cbw", "vda");
    graph.add(view("sa", "cbw"));
    assertTrue(engine.snapshots.isEmpty());
    assertEquals(Optional.of(new Target.LiveDisk("vda")), graph.find("sa"));

    graph.setDrive("vda", "cbw");
    assertEquals("snapshot cbw of vda", engine.log.getLast());
    assertEquals("cbw", graph.drive("vda"));
    assertEquals(Optional.of(new Target.FrozenDisk("cbw", "vda")), graph.find("sa"));
    assertEquals(Optional.of(new Target.LiveDisk("vda")), graph.find("cbw"));

    graph.setDrive("vda", "vda");
    assertEquals("release cbw", engine.log.getLast());
    assertEquals("vda", graph.drive("vda"));
    assertEquals(Optional.of(new Target.LiveDisk("vda")), graph.find("sa"));
    graph.delete("sa");
    graph.delete("cbw");
    graph.delete("scratch");
    assertEquals(2, graph.nodes().size());
  }

  @Test
  void theSnapshotIsTakenOnTheTermsOfTheNode() throws IOException {
    engine.addBitmap("vda", "b0", false);
    graph.add(zeroes("scratch", FakeEngine.DISK_BYTES));
    graph.add(withBitmap("vda", "b0"));
    graph.setDrive("vda", "cbw");
    SnapshotRequest request = engine.taken("cbw");
    assertEquals(OnCbwError.BREAK_SNAPSHOT, request.onCbwError());
    assertEquals(Duration.ofSeconds(45), request.cbwTimeout());
    assertEquals(Optional.of("b0"), request.increment().sinceOf("vda"));
    assertEquals(SnapshotRequest.Outside.ERROR, request.increment().outside());
    assertEquals(SnapshotRequest.Access.DISCARD, request.access());
  }

  @Test
  void whenTheSnapshotCannotBeTakenTheDeviceStaysWhereItIs() throws IOException {
    addCopier("cbw", "vda");
    engine.failingSnapshot = "cbw";
    assertEquals(
        "snapshot cbw: refused",
        assertThrows(Exception.class, () -> graph.setDrive("vda", "cbw")).getMessage());
    assertEquals("vda", graph.drive("vda"));
    engine.failingSnapshot = "";
    graph.setDrive("vda", "cbw");
    assertTrue(engine.snapshots.containsKey("cbw"));
  }

  @Test
  void chainedNodesAreSnapshotsOfTheirOwn() throws IOException {
    addCopier("one", "vda");
    graph.setDrive("vda", "one");
    addCopier("two", "one");
    graph.setDrive("vda", "two");
    assertEquals(Set.of("one", "two"), engine.snapshots.keySet());
    graph.setDrive("vda", "one");
    assertEquals(Set.of("one"), engine.snapshots.keySet());
    graph.setDrive("vda", "two");
    engine.failingSnapshot = "";
    graph.setDrive("vda", "vda");
    assertTrue(engine.snapshots.isEmpty());
  }

  @Test
  void aChainIsTakenAsAWholeOrNotAtAll() throws IOException {
    addCopier("one", "vda");
    addCopier("two", "one");
    engine.failingSnapshot = "two";
    assertEquals(
        "snapshot two: refused",
        assertThrows(Exception.class, () -> graph.setDrive("vda", "two")).getMessage());
    assertTrue(engine.snapshots.isEmpty());
    assertEquals("vda", graph.drive("vda"));
  }

  @Test
  void aDeviceTakesFiltersOnItsOwnDiskOnly() throws IOException {
    addCopier("other", "vdb");
    addCopier("cbw", "vda");
    graph.add(view("sa", "cbw"));
    assertRefused(
        () -> graph.setDrive("vda", "nope"), "Cannot find device='' nor node-name='nope'");
    for (String node : List.of("other", "sa", "scratch")) {
      assertRefused(
          () -> graph.setDrive("vda", node),
          "Property 'nbdfleece-disk.drive' does not take node '"
              + node
              + "': it is no filter on 'vda'");
    }
    assertRefused(() -> graph.setDrive("vdx", "cbw"), "Device 'vdx' not found");
    assertRefused(() -> graph.setDrive("scratch", "scratch"), "Device 'scratch' not found");
  }

  @Test
  void anExportOfTheViewMustComeAfterTheSnapshot() throws IOException {
    addCopier("cbw", "vda");
    graph.add(view("sa", "cbw"));
    exported.add("sa");
    assertRefused(
        () -> graph.setDrive("vda", "cbw"),
        "Node 'sa' is busy: an export shows the live disk through it: delete the export, and add"
            + " it again after 'cbw' was inserted");
    assertTrue(engine.snapshots.isEmpty());
  }

  @Test
  void aViewIsNeverWrittenNotEvenWhileItShowsTheLiveDisk() throws IOException {
    addCopier("cbw", "vda");
    graph.add(view("sa", "cbw"));
    assertTrue(graph.isReadOnly("sa"));
    assertFalse(graph.isReadOnly("cbw"));
    graph.setDrive("vda", "cbw");
    assertFalse(graph.isReadOnly("sa"));
  }

  @Test
  void anExportedFilterAboveDoesNotKeepASnapshotFromBeingTaken() throws IOException {
    addCopier("cbw", "vda");
    graph.addThrottleGroup("tg", ThrottleLimits.NONE);
    graph.add(throttle("t", "vda", "tg"));
    exported.add("t");
    graph.reopen(List.of(throttle("t", "cbw", "tg")));
    assertEquals(Set.of("cbw"), engine.snapshots.keySet());
  }

  @Test
  void exportingANodeForWritingTakesItsSnapshot() throws IOException {
    graph.add(zeroes("data", FakeEngine.DISK_BYTES));
    addCopier("cbw", "data");
    graph.add(view("sa", "cbw"));
    graph.export("cbw", true, () -> {});
    exported.add("cbw");
    assertEquals(Optional.of(new Target.FrozenDisk("cbw", "data")), graph.find("sa"));
    graph.add(zeroes("unrelated", 5));
    assertEquals(Set.of("cbw"), engine.snapshots.keySet());
    exported.clear();
    graph.delete("sa");
    graph.delete("cbw");
    assertTrue(engine.snapshots.isEmpty());
    graph.delete("data");
  }

  @Test
  void aSnapshotReleasedByItsOwnNameIsNotMissed() throws IOException {
    addCopier("cbw", "vda");
    graph.setDrive("vda", "cbw");
    engine.release("cbw", Optional.empty());
    graph.setDrive("vda", "vda");
    graph.delete("cbw");
    assertTrue(graph.find("cbw").isEmpty());
  }

  @Test
  void snapshotAccessNeedsACopyBeforeWriteNode() {
    assertRefused(
        () -> graph.add(view("sa", "vda")),
        "Node 'vda' (file) has no snapshot: give 'file' of a snapshot-access node the name of a"
            + " copy-before-write node");
  }

  @Test
  void whatIsInUseCannotBeDeleted() throws IOException {
    addCopier("cbw", "vda");
    graph.add(view("sa", "cbw"));
    assertRefused(() -> graph.delete("nope"), "Failed to find node with node-name='nope'");
    assertRefused(() -> graph.delete("vda"), "Node vda is in use");
    assertRefused(() -> graph.delete("cbw"), "Block device cbw is in use");
    assertRefused(() -> graph.delete("scratch"), "Block device scratch is in use");
    exported.add("sa");
    assertRefused(() -> graph.delete("sa"), "Node sa is in use");
    exported.clear();
    graph.delete("sa");
    graph.setDrive("vda", "cbw");
    assertRefused(() -> graph.delete("cbw"), "Node cbw is in use");
  }

  @Test
  void throttlesLimitAGuestsDiskOnceItStandsOnThem() throws IOException {
    graph.addThrottleGroup("tg", ThrottleLimits.NONE);
    graph.add(throttle("t", "vda", "tg"));
    assertTrue(engine.throttles.isEmpty());
    graph.setDrive("vda", "t");
    assertEquals(1, engine.throttlesOf("vda").size());
    graph.setDrive("vda", "vda");
    assertTrue(engine.throttlesOf("vda").isEmpty());
  }

  @Test
  void throttlesLimitAnAddedDiskAtOnce() throws IOException {
    graph.addThrottleGroup("tg", ThrottleLimits.NONE);
    graph.add(new NodeSpec("t", new Driver.Throttle(new Child.Inline(zeroes("n", 4096)), "tg")));
    assertEquals(1, engine.throttlesOf("t").size());
    assertEquals(Optional.of(new Target.LiveDisk("t")), graph.find("n"));
  }

  @Test
  void throttleGroupsAreCheckedWithQemusTexts() throws IOException {
    graph.addThrottleGroup("tg", ThrottleLimits.NONE);
    assertRefused(
        () -> graph.addThrottleGroup("tg", ThrottleLimits.NONE),
        "attempt to add duplicate property 'tg' to object (type 'container')");
    assertRefused(
        () -> graph.addThrottleGroup("1tg", ThrottleLimits.NONE),
        "Parameter 'id' expects an identifier");
    assertRefused(
        () -> graph.add(throttle("t", "vda", "nope")), "Throttle group 'nope' does not exist");
    graph.add(throttle("t", "vda", "tg"));
    assertRefused(
        () -> graph.deleteThrottleGroup("tg"), "object 'tg' is in use, can not be deleted");
    assertRefused(() -> graph.deleteThrottleGroup("nope"), "object 'nope' not found");
    graph.delete("t");
    graph.deleteThrottleGroup("tg");
    assertTrue(graph.throttleGroups().isEmpty());
  }

  @Test
  void limitsOfAGroupChangeLive() throws IOException {
    graph.addThrottleGroup("tg", ThrottleLimits.NONE);
    graph.limitThrottleGroup("tg", ThrottleLimits.NONE.with(Map.of("bps-total", 5L)));
    assertEquals(5L, graph.throttleLimits("tg").orElseThrow().values().get("bps-total"));
    assertRefused(
        () -> graph.limitThrottleGroup("nope", ThrottleLimits.NONE), "Device 'nope' not found");
  }
}
