// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Disks on other servers as exports, and who may open them.
final class EngineExportsTest {
  private static final Set<Ability> ALL = EnumSet.complementOf(EnumSet.of(Ability.ROTATIONAL));
  private static final int SIZE = 1 << 20;

  @TempDir private Path scratch;
  private FleecingEngine engine;

  @BeforeEach
  void open() throws IOException {
    engine = FleecingEngine.open(new EngineConfig(65_536, 4 << 20, scratch, 16 << 20, 4));
  }

  @AfterEach
  void close() throws IOException {
    engine.close();
  }

  private void add(String name, DiskConfig.Access access, UpstreamDisk upstream)
      throws IOException {
    var _ =
        engine.addDisk(
            new DiskConfig(name, "nbd://localhost", access), new NbdNode(upstream, () -> {}));
  }

  private UpstreamDisk add(String name) throws IOException {
    UpstreamDisk upstream = new UpstreamDisk(SIZE, ALL);
    add(name, DiskConfig.Access.READ_WRITE, upstream);
    return upstream;
  }

  private void snapshot(String name) throws Exception {
    var _ =
        engine
            .snapshot(
                new SnapshotRequest(
                    List.of(),
                    Optional.of(name),
                    SnapshotRequest.Access.READ_ONLY,
                    SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
                    SnapshotRequest.CBW_TIMEOUT_DEFAULT))
            .get(10, TimeUnit.SECONDS);
  }

  private static ClientIdentity named(String... names) {
    return new ClientIdentity(
        Optional.of(new ClientIdentity.Tls("TLSv1.3", List.of(names))), Optional.empty());
  }

  private static final class Done implements Completion {
    final CompletableFuture<Void> future = new CompletableFuture<>();

    @Override
    public void succeeded() {
      future.complete(null);
    }

    @Override
    public void failed(IOException error) {
      future.completeExceptionally(error);
    }
  }

  private static CompletableFuture<Void> zeroFast(Export export) {
    Done done = new Done();
    export.writeZeroes(0, 65_536, Export.Zeroing.FAST_ONLY, Export.Durability.CACHED, done);
    return done.future;
  }

  @Test
  void defaultExportIsTheOnlyDiskByName() throws IOException {
    add("only");
    EngineExports exports = new EngineExports(engine);
    assertEquals("only", exports.canonicalName("", ClientIdentity.UNKNOWN));
    assertEquals("only", exports.canonicalName("only", ClientIdentity.UNKNOWN));
  }

  @Test
  void diskWithAListIsThereForThoseOnItOnly() throws Exception {
    add("open");
    add("mine");
    snapshot("s");
    EngineExports exports = new EngineExports(engine, Map.of("mine", Set.of("CN=a", "b")));
    ClientIdentity unixSocket =
        new ClientIdentity(Optional.empty(), Optional.of(new ClientIdentity.Unix(0, 0, 1)));
    for (ClientIdentity stranger :
        List.of(ClientIdentity.UNKNOWN, unixSocket, named(), named("B"), named("CN=a2", "CN="))) {
      assertEquals(List.of("open", "open@s"), exports.names(stranger));
      assertTrue(exports.find("mine", stranger).isEmpty());
      assertTrue(exports.find("mine@s", stranger).isEmpty());
      assertTrue(exports.find("open@s", stranger).isPresent());
    }
    ClientIdentity friend = named("x", "b");
    assertEquals(List.of("open", "mine", "open@s", "mine@s"), exports.names(friend));
    assertTrue(exports.find("mine", friend).isPresent());
    assertTrue(exports.find("mine@s", friend).isPresent());
  }

  @Test
  void namesOnADiskWithAListNeedTls() throws Exception {
    add("mine");
    EngineExports exports = new EngineExports(engine, Map.of("mine", Set.of("b")));
    assertTrue(exports.needsTls("mine"));
    assertTrue(exports.needsTls("mine@whatever"));
    assertTrue(exports.needsTls(""));
    assertFalse(exports.needsTls("other"));
    assertTrue(exports.find("", ClientIdentity.UNKNOWN).isEmpty());
    assertTrue(exports.find("", named("b")).isPresent());
  }

  @Test
  void listForADiskThatIsNotThereIsRefused() throws Exception {
    add("vda");
    IllegalArgumentException refused =
        assertThrows(
            IllegalArgumentException.class,
            () -> new EngineExports(engine, Map.of("vad", Set.of("a"))));
    assertTrue(String.valueOf(refused.getMessage()).contains("vad"));
  }

  @Test
  void readOnlyUpstreamCanBeServedReadOnlyOnly() throws Exception {
    Set<Ability> readOnly = EnumSet.of(Ability.FLUSH, Ability.MULTI_CONN);
    IOException refused =
        assertThrows(
            IOException.class,
            () -> add("vda", DiskConfig.Access.READ_WRITE, new UpstreamDisk(SIZE, readOnly)));
    assertEquals(
        "disk vda: upstream is read-only: serve it with --read-only", refused.getMessage());
    add("vda", DiskConfig.Access.READ_ONLY, new UpstreamDisk(SIZE, readOnly));
    ExportInfo info = export("vda").info();
    assertFalse(info.can(Ability.WRITE));
  }

  private Export export(String name) {
    return new EngineExports(engine).find(name, ClientIdentity.UNKNOWN).orElseThrow();
  }

  @Test
  void blockSizesAndContextsOfTheUpstreamAreShown() throws Exception {
    UpstreamDisk upstream =
        new UpstreamDisk(SIZE, ALL, 4096, ExportInfo.BASE_ALLOCATION, "qemu:dirty-bitmap:b");
    upstream.extents.put("qemu:dirty-bitmap:b", List.of(new Extent(8192, 1)));
    add("vda", DiskConfig.Access.READ_WRITE, upstream);
    snapshot("s");
    ExportInfo disk = export("vda").info();
    assertEquals(4096, disk.minimumBlockBytes());
    assertEquals(List.of("base:allocation", "qemu:dirty-bitmap:b"), disk.metaContexts());
    assertEquals(ALL, disk.abilities());
    ExportInfo frozen = export("vda@s").info();
    assertEquals(4096, frozen.minimumBlockBytes());
    assertEquals(
        List.of("base:allocation", "qemu:allocation-depth", "x-nbdfleece:tier"),
        frozen.metaContexts());
    CompletableFuture<List<ContextExtents>> found = new CompletableFuture<>();
    export("vda")
        .blockStatus(
            0,
            SIZE,
            List.of("qemu:dirty-bitmap:b", "base:allocation"),
            10,
            new StatusCompletion() {
              @Override
              public void succeeded(List<ContextExtents> contexts) {
                found.complete(contexts);
              }

              @Override
              public void failed(IOException error) {
                found.completeExceptionally(error);
              }
            });
    assertEquals(
        List.of(
            new ContextExtents("qemu:dirty-bitmap:b", List.of(new Extent(8192, 1))),
            new ContextExtents("base:allocation", List.of(new Extent(SIZE, 0)))),
        found.get(10, TimeUnit.SECONDS));
  }

  @Test
  void whatTheHookReadsIsAlignedToTheUpstreamsBlocks() throws Exception {
    // UpstreamDisk insists on alignment itself. 17 blocks of 4 KiB: the last cluster is short.
    UpstreamDisk upstream = new UpstreamDisk(17 * 4096, ALL, 4096, ExportInfo.BASE_ALLOCATION);
    upstream.disk[16 * 4096] = 9;
    add("vda", DiskConfig.Access.READ_WRITE, upstream);
    snapshot("s");
    Done written = new Done();
    export("vda")
        .write(15 * 4096, ByteBuffer.allocateDirect(8192), Export.Durability.CACHED, written);
    written.future.get(10, TimeUnit.SECONDS);
    ByteBuffer target = ByteBuffer.allocateDirect(17 * 4096);
    Done read = new Done();
    export("vda@s").read(0, target, read);
    read.future.get(10, TimeUnit.SECONDS);
    assertEquals(9, target.get(16 * 4096));
    assertEquals(0, upstream.disk[16 * 4096]);
  }

  @Test
  void blocksLargerThanAClusterAreRefused() throws Exception {
    engine.close();
    engine = FleecingEngine.open(new EngineConfig(4096, 4 << 20, scratch, 16 << 20, 4));
    IOException refused =
        assertThrows(
            IOException.class,
            () ->
                add(
                    "vda",
                    DiskConfig.Access.READ_WRITE,
                    new UpstreamDisk(SIZE, ALL, 8192, ExportInfo.BASE_ALLOCATION)));
    assertTrue(String.valueOf(refused.getMessage()).contains("--cluster-size"));
  }

  @Test
  void fastZeroingDuringASnapshotIsNotSupportedAndChangesNothing() throws Exception {
    UpstreamDisk upstream = add("vda");
    upstream.disk[0] = 7;
    snapshot("s");
    CompletionException refused =
        assertThrows(CompletionException.class, zeroFast(export("vda"))::join);
    NbdException error = (NbdException) refused.getCause();
    assertTrue(error != null && error.error() == NbdError.ENOTSUP);
    assertEquals(7, upstream.disk[0]);
    var _ = engine.release("s");
    zeroFast(export("vda")).get(10, TimeUnit.SECONDS);
    assertEquals(0, upstream.disk[0]);
  }

  @Test
  void hintsOnSnapshotsFillSpareRoom() throws Exception {
    UpstreamDisk upstream = add("vda");
    upstream.disk[0] = 7;
    snapshot("s");
    Done done = new Done();
    export("vda@s").cache(0, SIZE, done);
    done.future.get(10, TimeUnit.SECONDS);
    assertEquals(65_536, engine.storeStatistics().spareBytes());
    Done forwarded = new Done();
    export("vda").cache(0, 100, forwarded);
    forwarded.future.get(10, TimeUnit.SECONDS);
    assertEquals("cache 0+100", upstream.asked.getLast());
  }
}
