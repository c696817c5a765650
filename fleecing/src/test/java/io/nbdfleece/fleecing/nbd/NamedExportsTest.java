// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.NoSuchExportException;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.nbd.BitmapTable.State;
import io.nbdfleece.fleecing.nbd.NamedExport.Source;
import io.nbdfleece.fleecing.nbd.NamedExports.Removal;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Adding, showing and removing exports one by one.
@Timeout(60)
final class NamedExportsTest {
  private static final int SIZE = 1 << 20;
  private static final Source VDA = new Source.LiveDisk("vda");
  private static final Source VDA_S = new Source.FrozenDisk("s", "vda");

  @TempDir private Path directory;
  private ServedDisks disks;
  private ServedDisk vda;
  private NamedExports exports;
  private final BitmapTable bitmaps = new BitmapTable();
  private final Queue<String> deleted = new ConcurrentLinkedQueue<>();

  @BeforeEach
  void open() throws Exception {
    disks = new ServedDisks(directory);
    byte[] content = new byte[SIZE];
    Arrays.fill(content, (byte) 5);
    vda = disks.add("vda", SIZE, content, DiskConfig.Access.READ_WRITE);
    var _ = disks.add("ro", SIZE, content, DiskConfig.Access.READ_ONLY);
    var _ =
        disks
            .engine
            .snapshot(
                new SnapshotRequest(
                    List.of("vda"),
                    Optional.of("s"),
                    SnapshotRequest.Access.DISCARD,
                    SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
                    SnapshotRequest.CBW_TIMEOUT_DEFAULT))
            .get(10, TimeUnit.SECONDS);
    exports = new NamedExports(disks.engine, deleted::add, bitmaps);
  }

  @AfterEach
  void close() throws IOException {
    disks.close();
  }

  private static NamedExport named(
      String id, Source source, String name, boolean writable, BitmapRef... bitmaps) {
    return new NamedExport(
        id, "vda", source, name, writable, Optional.of("text"), List.of(bitmaps), true);
  }

  private void add(String id, Source source, String name, boolean writable, BitmapRef... refs)
      throws IOException {
    exports.add(named(id, source, name, writable, refs));
  }

  private void refused(String text, NamedExport export) {
    Exception error = assertThrows(Exception.class, () -> exports.add(export));
    assertEquals(text, error.getMessage());
    assertFalse(exports.exports().contains(export));
    assertEquals(Set.of(), bitmaps.inUse);
  }

  private void refused(String text, String id, Removal removal) {
    CompletableFuture<Void> removed = exports.remove(id, removal);
    Throwable cause =
        assertThrows(ExecutionException.class, () -> removed.get(20, TimeUnit.SECONDS)).getCause();
    assertTrue(cause instanceof IOException);
    assertEquals(text, cause.getMessage());
  }

  private static ExportInfo info(ExportCatalog catalog, String name) {
    return catalog.find(name, ClientIdentity.UNKNOWN).orElseThrow().info();
  }

  @Test
  void anotherSnapshotUnderTheSameNameHasAnotherDescription() throws Exception {
    NamedExport plain =
        new NamedExport("e0", "vda", VDA_S, "backup", false, Optional.empty(), List.of(), true);
    exports.add(plain);
    String first = info(exports, "backup").description();
    assertTrue(first.startsWith("snapshot s of disk vda, frozen "), first);
    exports.remove("e0", Removal.HARD).get(20, TimeUnit.SECONDS);
    disks.engine.release("s");
    var _ =
        disks
            .engine
            .snapshot(
                new SnapshotRequest(
                    List.of("vda"),
                    Optional.of("s"),
                    SnapshotRequest.Access.DISCARD,
                    SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
                    SnapshotRequest.CBW_TIMEOUT_DEFAULT))
            .get(10, TimeUnit.SECONDS);
    exports.add(plain);
    assertNotEquals(first, info(exports, "backup").description());
  }

  @Test
  void whereAnotherBitmapIsShownNothingSaysSinceWhenItsChangesAre() throws Exception {
    SnapshotRequest.Increment first =
        new SnapshotRequest.Increment(
            Optional.of("c1"),
            Optional.empty(),
            Map.of(),
            Optional.empty(),
            SnapshotRequest.Outside.DATA);
    var _ = disks.engine.snapshot(incremental("f", first)).get(10, TimeUnit.SECONDS);
    var _ = disks.engine.release("f", ReleaseOutcome.SUCCESS);
    SnapshotRequest.Increment since =
        new SnapshotRequest.Increment(
            Optional.empty(),
            Optional.of("c1"),
            Map.of(),
            Optional.empty(),
            SnapshotRequest.Outside.DATA);
    var _ = disks.engine.snapshot(incremental("i", since)).get(10, TimeUnit.SECONDS);
    Source delta = new Source.FrozenDisk("i", "vda");
    bitmaps.views.put("view", (long) SIZE);
    BitmapRef other = bitmaps.put("view", "b0", State.DISABLED, ServedDisks.granules(SIZE, 2));
    exports.add(
        new NamedExport("e0", "view", delta, "own", false, Optional.empty(), List.of(), true));
    exports.add(
        new NamedExport(
            "e1", "view", delta, "other", false, Optional.empty(), List.of(other), true));
    String own = info(exports, "own").description();
    assertTrue(own.contains(", since c1 ("), own);
    String shown = info(exports, "other").description();
    assertFalse(shown.contains("since"), shown);
    assertTrue(shown.startsWith("snapshot i of disk vda, frozen "), shown);
  }

  private static SnapshotRequest incremental(String name, SnapshotRequest.Increment increment) {
    return new SnapshotRequest(
        List.of("vda"),
        Optional.of(name),
        SnapshotRequest.Access.READ_ONLY,
        SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
        SnapshotRequest.CBW_TIMEOUT_DEFAULT,
        increment,
        SnapshotRequest.Lifetime.UNTIL_RELEASED);
  }

  @Test
  void whoNamesNoDiskMeansThoseThatAreExported() throws Exception {
    var _ =
        disks.add("node", SIZE, new byte[0], DiskConfig.Access.READ_WRITE, DiskConfig.Listing.NODE);
    SnapshotRequest all =
        new SnapshotRequest(
            List.of(),
            Optional.of("all"),
            SnapshotRequest.Access.READ_ONLY,
            SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
            SnapshotRequest.CBW_TIMEOUT_DEFAULT);
    SnapshotStatus taken = disks.engine.snapshot(all).get(10, TimeUnit.SECONDS);
    assertEquals(
        List.of("vda", "ro"), taken.disks().stream().map(SnapshotStatus.PerDisk::disk).toList());
  }

  @Test
  void whatComesUnderANameThatIsFreeAgainIsFoundThere() throws Exception {
    NamedExport again = named("e0", VDA, "n0", false);
    exports =
        new NamedExports(
            disks.engine,
            id -> {
              deleted.add(id);
              if (deleted.size() == 1) {
                assertDoesNotThrow(() -> exports.add(again));
              }
            },
            bitmaps);
    exports.add(again);
    exports.remove("e0", Removal.SAFE).get(20, TimeUnit.SECONDS);
    assertTrue(exports.find("n0", ClientIdentity.UNKNOWN).isPresent());
  }

  @Test
  void whatCannotBeAddedSaysSoAsQemuDoes() throws IOException {
    add("e0", VDA, "n0", false);
    BitmapRef enabled = bitmaps.put("vda", "b2", State.ENABLED, ServedDisks.granules(SIZE));
    BitmapRef busy = bitmaps.put("vda", "b3", State.BUSY, ServedDisks.granules(SIZE));
    BitmapRef lost = bitmaps.put("vda", "b4", State.INCONSISTENT, ServedDisks.granules(SIZE));
    BitmapRef idle = bitmaps.put("vda", "b5", State.DISABLED, ServedDisks.granules(SIZE));
    BitmapRef other = bitmaps.put("ro", "b5", State.DISABLED, ServedDisks.granules(SIZE));
    refused("Block export id 'e0' is already in use", named("e0", VDA, "n1", false));
    refused("NBD server already has export named 'n0'", named("e1", VDA, "n0", false));
    refused("Invalid block export id", named("1", VDA, "n1", false));
    refused(
        "export name '" + "n".repeat(4097) + "' too long",
        named("e1", VDA, "n".repeat(4097), false));
    refused(
        "export name 'a\\u0000b' contains NUL or half a character",
        named("e1", VDA, "a\0b", false));
    refused(
        "export name 'a\\ud800' contains NUL or half a character",
        named("e1", VDA, "a\ud800", false));
    refused(
        "Cannot export read-only node as writable",
        named("e1", new Source.LiveDisk("ro"), "n1", true));
    refused("no disk is called vdx", named("e1", new Source.LiveDisk("vdx"), "n1", false));
    refused(
        "no snapshot of disk ro is called s",
        named("e1", new Source.FrozenDisk("s", "ro"), "n1", false));
    refused("Bitmap 'b9' is not found", named("e1", VDA, "n1", false, new BitmapRef("vda", "b9")));
    refused(
        "Dirty bitmap 'b9' not found", named("e1", VDA, "n1", false, new BitmapRef("ro", "b9")));
    refused(
        "Enabled bitmap 'b2' incompatible with readonly export",
        named("e1", VDA, "n1", false, idle, enabled));
    refused(
        "Bitmap 'b3' is currently in use by another operation and cannot be used",
        named("e1", VDA, "n1", true, idle, busy));
    refused("Bitmap 'b4' is inconsistent and cannot be used", named("e1", VDA, "n1", true, lost));
    refused("export 'e1': two bitmaps are called 'b5'", named("e1", VDA, "n1", true, idle, other));
    add("e1", VDA, "n1", true, idle, enabled); // nothing of all that is left behind
  }

  @Test
  void bitmapsOfAViewAreThoseOfSomethingThatMayBeWritten() throws IOException {
    bitmaps.views.put("view", (long) SIZE);
    bitmaps.views.put("small", 4096L);
    BitmapRef enabled = bitmaps.put("view", "b2", State.ENABLED, ServedDisks.granules(SIZE));
    BitmapRef idle = bitmaps.put("view", "b5", State.DISABLED, ServedDisks.granules(SIZE));
    BitmapRef small = bitmaps.put("small", "b6", State.DISABLED, ServedDisks.granules(SIZE));
    String incompatible = "Enabled bitmap 'b2' incompatible with readonly export";
    refused(incompatible, ofView(VDA_S, enabled));
    refused(incompatible, named("e1", new Source.LiveDisk("ro"), "n1", false, enabled));
    refused(
        "Bitmap 'b6' is of small, which has another size", named("e1", VDA, "n1", false, small));
    refused("Bitmap 'b9' is not found", ofView(VDA_S, new BitmapRef("view", "b9")));
    exports.add(ofView(VDA_S, idle));
    assertTrue(info(exports, "n1").metaContexts().contains("qemu:dirty-bitmap:b5"));
    assertEquals(Set.of(idle), bitmaps.inUse);
  }

  private static NamedExport ofView(Source source, BitmapRef bitmap) {
    return new NamedExport(
        "e1", "view", source, "n1", false, Optional.of("text"), List.of(bitmap), true);
  }

  @Test
  void exportOfADiskShowsWhatWasAskedFor() throws IOException {
    BitmapRef b = bitmaps.put("vda", "b", State.ENABLED, ServedDisks.granules(SIZE, 2));
    add("e0", VDA, "n0", false);
    add("e1", VDA, "n1", true, b);
    ExportInfo readOnly = info(exports, "n0");
    assertFalse(readOnly.can(Ability.WRITE) || readOnly.can(Ability.TRIM));
    assertEquals("text", readOnly.description());
    assertEquals(List.of("base:allocation", "qemu:allocation-depth"), readOnly.metaContexts());
    ExportInfo writable = info(exports, "n1");
    assertTrue(writable.can(Ability.WRITE) && writable.can(Ability.TRIM));
    assertTrue(writable.metaContexts().contains("qemu:dirty-bitmap:b"));
    assertEquals(List.of("n0", "n1"), exports.names(ClientIdentity.UNKNOWN));
    assertEquals(List.of("e0", "e1"), exports.exports().stream().map(NamedExport::id).toList());
    assertEquals(Set.of(b), bitmaps.inUse);
  }

  @Test
  void bitmapOfALiveDiskIsShownAsItIsNow() throws Exception {
    BitmapRef b = bitmaps.put("vda", "b", State.ENABLED, ServedDisks.granules(SIZE, 2));
    add("e1", VDA, "n1", true, b);
    Path socket = disks.serve(exports);
    String context = "qemu:dirty-bitmap:b";
    try (NbdClient client =
        ServedDisks.connect(socket, "n1", context, "base:allocation", "qemu:allocation-depth")) {
      assertEquals(
          List.of(
              new ContextExtents(
                  context,
                  List.of(new Extent(2 << 16, 0), new Extent(1 << 16, 1), new Extent(13 << 16, 0))),
              new ContextExtents("base:allocation", List.of(new Extent(SIZE, 0))),
              new ContextExtents("qemu:allocation-depth", List.of(new Extent(SIZE, 1)))),
          client.blockStatus(0, SIZE).get(10, TimeUnit.SECONDS));
      bitmaps.put("vda", "b", State.ENABLED, ServedDisks.granules(SIZE, 2, 3));
      assertEquals(
          new Extent(2 << 16, 1),
          client
              .blockStatus(2 << 16, SIZE - (2 << 16))
              .get(10, TimeUnit.SECONDS)
              .getFirst()
              .extents()
              .getFirst());
    }
  }

  @Test
  void frozenDiskCanBeTrimmedWhereTheExportIsWritable() throws IOException {
    BitmapRef b = bitmaps.put("vda", "b", State.DISABLED, ServedDisks.granules(SIZE, 2));
    add("e0", VDA_S, "n0", false, b);
    add("e1", VDA_S, "n1", true);
    assertFalse(info(exports, "n0").can(Ability.TRIM));
    assertTrue(info(exports, "n0").metaContexts().contains("qemu:dirty-bitmap:b"));
    assertTrue(info(exports, "n1").can(Ability.TRIM));
    assertFalse(info(exports, "n1").can(Ability.WRITE));
  }

  @Test
  void removingAnIdleExportFreesItsNameItsIdAndItsBitmaps() throws Exception {
    BitmapRef b = bitmaps.put("vda", "b", State.DISABLED, ServedDisks.granules(SIZE, 2));
    add("e0", VDA, "n0", false, b);
    exports.remove("e0", Removal.SAFE).get(10, TimeUnit.SECONDS);
    assertEquals(List.of("e0"), List.copyOf(deleted));
    assertEquals(Set.of(), bitmaps.inUse);
    assertTrue(exports.find("n0", ClientIdentity.UNKNOWN).isEmpty());
    refused("Export 'e0' is not found", "e0", Removal.HARD);
    assertInstanceOf(
        NoSuchExportException.class, exports.remove("e0", Removal.SAFE).exceptionNow());
    add("e0", VDA, "n0", false, b);
  }

  @Test
  void exportWithAClientGoesWhenTheClientIsMadeTo() throws Exception {
    add("e1", VDA, "n1", true);
    Path socket = disks.serve(exports);
    try (NbdClient client = ServedDisks.connect(socket, "n1")) {
      refused("export 'e1' still in use", "e1", Removal.SAFE);
      client.flush().get(10, TimeUnit.SECONDS);
      exports.remove("e1", Removal.HARD).get(10, TimeUnit.SECONDS);
      assertEquals(List.of("e1"), List.copyOf(deleted));
      assertThrows(ExecutionException.class, () -> client.flush().get(10, TimeUnit.SECONDS));
      assertEquals(0, vda.users().clientCount());
    }
  }

  @Test
  void deletionWaitsForTheRequestInFlightWhoseReplyStillComes() throws Exception {
    add("e1", VDA, "n1", true);
    Path socket = disks.serve(exports);
    HeldReads held = new HeldReads(vda.top());
    try (NbdClient client = ServedDisks.connect(socket, "n1")) {
      vda.replaceTop(held.node);
      ByteBuffer target = ByteBuffer.allocateDirect(512);
      CompletableFuture<Void> read = client.read(0, target);
      Awaitility.await().until(() -> held.waiting.size() == 1);
      CompletableFuture<Void> removed = exports.remove("e1", Removal.HARD);
      refused("Export 'e1' is already shutting down", "e1", Removal.HARD);
      assertTrue(exports.isShuttingDown("e1"));
      assertFalse(removed.isDone());
      assertTrue(exports.find("n1", ClientIdentity.UNKNOWN).isEmpty());
      add("e2", VDA, "n1", true); // the name is free, the id is not
      refusedWhileInUse();
      held.waiting.remove().run();
      read.get(10, TimeUnit.SECONDS);
      assertEquals(5, target.get(0));
      removed.get(10, TimeUnit.SECONDS);
      assertTrue(exports.find("n1", ClientIdentity.UNKNOWN).isPresent());
    }
  }

  private void refusedWhileInUse() {
    IOException error = assertThrows(IOException.class, () -> add("e1", VDA, "n3", true));
    assertEquals("Block export id 'e1' is already in use", error.getMessage());
  }

  /// A filter whose reads wait for the test.
  private static final class HeldReads {
    final Queue<Runnable> waiting = new ConcurrentLinkedQueue<>();
    final BlockNode node;

    HeldReads(BlockNode below) {
      node =
          (BlockNode)
              Proxy.newProxyInstance(
                  BlockNode.class.getClassLoader(),
                  new Class<?>[] {BlockNode.class},
                  (proxy, method, arguments) -> {
                    if (method.getName().equals("read")) {
                      waiting.add(
                          () -> {
                            try {
                              var _ = method.invoke(below, arguments);
                            } catch (ReflectiveOperationException e) {
                              throw new IllegalStateException(e);
                            }
                          });
                      return null;
                    }
                    return method.invoke(below, arguments);
                  });
    }
  }

  @Test
  void clientThatFoundTheExportJustBeforeItWentIsSentAway() throws IOException {
    add("e1", VDA, "n1", true);
    Export late = exports.find("n1", ClientIdentity.UNKNOWN).orElseThrow();
    exports.remove("e1", Removal.SAFE).join();
    int[] sentAway = {0};
    late.connected(() -> sentAway[0]++);
    assertEquals(1, sentAway[0]);
    late.disconnected();
    assertEquals(List.of("e1"), List.copyOf(deleted));
  }

  @Test
  void safeRemovalWaitsForAClientThatIsJustLeaving() throws Exception {
    Path socket = disks.serve(exports);
    for (int i = 0; i < 50; i++) {
      add("e" + i, VDA, "n" + i, false);
      ServedDisks.connect(socket, "n" + i).close();
      var _ = exports.remove("e" + i, Removal.SAFE).get(20, TimeUnit.SECONDS);
    }
    assertEquals(50, deleted.size());
  }

  @Test
  void removingAllDisconnectsEverybody() throws Exception {
    add("e1", VDA, "n1", true);
    add("e2", VDA_S, "n2", true);
    Path socket = disks.serve(exports);
    try (NbdClient client = ServedDisks.connect(socket, "n2")) {
      exports.removeAll().get(10, TimeUnit.SECONDS);
      assertThrows(ExecutionException.class, () -> client.flush().get(10, TimeUnit.SECONDS));
    }
    assertEquals(Set.of("e1", "e2"), Set.copyOf(deleted));
    assertEquals(List.of(), exports.exports());
  }

  @Test
  void besideDisksAndSnapshotsTheirNamesAreTaken() throws Exception {
    var _ =
        disks.add("node", SIZE, new byte[0], DiskConfig.Access.READ_WRITE, DiskConfig.Listing.NODE);
    ExportCatalog both = exports.beside(new EngineExports(disks.engine), () -> true);
    refused("NBD server already has export named 'vda'", named("e1", VDA, "vda", true));
    refused("NBD server already has export named 'vda@s'", named("e1", VDA, "vda@s", true));
    add("e1", new Source.LiveDisk("node"), "node", true);
    assertEquals(List.of("vda", "ro", "vda@s", "node"), both.names(ClientIdentity.UNKNOWN));
    assertTrue(info(both, "node").can(Ability.WRITE));
    exports.remove("e1", Removal.SAFE).get(10, TimeUnit.SECONDS);
    assertTrue(both.find("node", ClientIdentity.UNKNOWN).isEmpty());
  }

  @Test
  void diskForSomeClientsOnlyIsForThemUnderAnyName() throws Exception {
    ExportCatalog both =
        exports.beside(new EngineExports(disks.engine, Map.of("vda", Set.of("CN=a"))), () -> true);
    add("e1", VDA, "n1", true);
    add("e2", new Source.LiveDisk("ro"), "n2", false);
    ClientIdentity friend =
        new ClientIdentity(
            Optional.of(new ClientIdentity.Tls("TLSv1.3", List.of("CN=a"))), Optional.empty());
    for (ExportCatalog catalog : List.of(both, exports)) {
      assertTrue(catalog.find("n1", ClientIdentity.UNKNOWN).isEmpty());
      assertTrue(catalog.find("n1", friend).isPresent());
      assertTrue(catalog.needsTls("n1"));
      assertFalse(catalog.needsTls("n2"));
      assertFalse(catalog.names(ClientIdentity.UNKNOWN).contains("n1"));
    }
  }
}
