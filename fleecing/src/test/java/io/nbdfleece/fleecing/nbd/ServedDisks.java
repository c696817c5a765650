// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.fleecing.SnapshotClients;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.Outcome;
import io.nbdfleece.fleecing.hook.SnapshotScope;
import io.nbdfleece.fleecing.hook.SnapshotTerms;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.roaringbitmap.RoaringBitmap;

/// An engine with disks in files, and servers of its exports on Unix sockets.
final class ServedDisks implements AutoCloseable {
  static final int CLUSTER = 65_536;

  final FleecingEngine engine;
  private final Path directory;
  private final List<NbdServer> servers = new java.util.ArrayList<>();

  ServedDisks(Path directory) throws IOException {
    this.directory = directory;
    engine = FleecingEngine.open(new EngineConfig(CLUSTER, 16 << 20, directory, 64 << 20, 4));
  }

  /// A sparse disk with that content from its start.
  ServedDisk add(String name, long sizeBytes, byte[] content, DiskConfig.Access access)
      throws IOException {
    return add(name, sizeBytes, content, access, DiskConfig.Listing.EXPORTED);
  }

  ServedDisk add(
      String name,
      long sizeBytes,
      byte[] content,
      DiskConfig.Access access,
      DiskConfig.Listing listing)
      throws IOException {
    Path image = directory.resolve(name + ".img");
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(sizeBytes);
      // Zero clusters stay holes.
      for (int at = 0; at < content.length; at += CLUSTER) {
        int lengthBytes = Math.min(CLUSTER, content.length - at);
        for (int i = at; i < at + lengthBytes; i++) {
          if (content[i] != 0) {
            file.seek(at);
            file.write(content, at, lengthBytes);
            break;
          }
        }
      }
    }
    var _ = engine.addDisk(new DiskConfig(name, image.toString(), access, listing));
    return engine.disk(name).orElseThrow();
  }

  /// A frozen view with a bitmap beside it that is called c1, as the engine takes it.
  static Snapshot.Part freeze(ServedDisk disk, Access access, Outside outside, GranuleSet dirty) {
    disk.hook().closeGate(() -> {});
    try {
      return new Snapshot.Part(
          disk,
          disk.hook()
              .freeze(
                  new SnapshotTerms("s", access, OnCbwError.BREAK_SNAPSHOT, 0),
                  new SnapshotScope(Optional.of(dirty), outside)),
          new SnapshotClients(),
          Optional.of(new Snapshot.Part.Dirty("c1", dirty)),
          Optional.empty(),
          Optional.empty());
    } finally {
      disk.hook().openGate();
    }
  }

  static GranuleSet granules(long sizeBytes, int... dirty) {
    return GranuleSet.of(sizeBytes, CLUSTER, RoaringBitmap.bitmapOf(dirty));
  }

  static SnapshotExport export(Snapshot.Part part) {
    return new SnapshotExport(
        "s", part, CLUSTER, "test", true, SnapshotExport.frozen(part, List.of()));
  }

  static void write(ServedDisk disk, long offsetBytes, byte[] content) {
    ByteBuffer data = ByteBuffer.allocateDirect(content.length).put(content).flip();
    Outcome written = new Outcome();
    disk.hook().apply(new Mutation.Write(offsetBytes, data, Mutation.Durability.CACHED), written);
    written.future().join();
  }

  /// Serves them; returns the socket.
  Path serve(ExportCatalog catalog) throws IOException {
    Path socket = directory.resolve("s" + servers.size());
    servers.add(
        NbdServer.start(
            new ServerConfig(
                List.of(new ServerConfig.Listen.Unix(socket)),
                ServerLimits.defaults()
                    .withEventLoopCount(2)
                    .withStalledReaderDeadline(Duration.ofSeconds(30))),
            catalog));
    return socket;
  }

  /// One export called `e`.
  Path serve(Export export) throws IOException {
    return serve(
        new ExportCatalog() {
          @Override
          public Optional<Export> find(String name, ClientIdentity client) {
            return name.equals("e") ? Optional.of(export) : Optional.empty();
          }

          @Override
          public List<String> names(ClientIdentity client) {
            return List.of("e");
          }
        });
  }

  static String uri(Path socket, String name) {
    return "nbd+unix:///" + name + "?socket=" + socket;
  }

  static NbdClient connect(Path socket, String name, String... contexts) throws IOException {
    return NbdClient.connect(NbdUri.parse(uri(socket, name)), List.of(contexts));
  }

  @Override
  public void close() throws IOException {
    servers.forEach(server -> server.close(Duration.ofSeconds(1)));
    engine.close();
  }
}
