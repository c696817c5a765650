// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.StatusCompletion;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.awaitility.Awaitility;

/// A disk that is as slow as can be: it answers no read of its first half before a certain number
/// of them is waiting, then all at once. So a test passes only if they were under way together,
/// whatever the clock says. Reads of the second half are answered at once. All of it is data, and
/// marked in its bitmap. Served by one event loop.
final class HeldReads implements Export, AutoCloseable {
  static final long SIZE_BYTES = 64L << 20;

  private static final String BITMAP = "qemu:dirty-bitmap:c1";

  private int together;
  private final List<Completion> waiting = new ArrayList<>();
  private final NbdServer server;
  private int readsMax;
  private int readsTotal;

  private HeldReads(Path socket, int together) throws IOException {
    this.together = together;
    server =
        NbdServer.start(
            new ServerConfig(
                List.of(new ServerConfig.Listen.Unix(socket)),
                ServerLimits.defaults().withEventLoopCount(1)),
            new ExportCatalog() {
              @Override
              public Optional<Export> find(String name, ClientIdentity client) {
                return Optional.of(HeldReads.this);
              }

              @Override
              public List<String> names(ClientIdentity client) {
                return List.of("held");
              }
            });
  }

  /// Serves on a Unix socket.
  ///
  /// @param together how many reads must wait before they are answered
  static HeldReads start(Path socket, int together) throws IOException {
    return new HeldReads(socket, together);
  }

  NbdUri uri() {
    return server.uris().getFirst().withExportName("held");
  }

  /// Waits until so many reads have come.
  void awaitReads(int count) {
    Awaitility.await().atMost(Duration.ofSeconds(30)).until(() -> readsTotal() >= count);
  }

  synchronized int readsTotal() {
    return readsTotal;
  }

  /// The most that were waiting at the same time.
  synchronized int readsMax() {
    return readsMax;
  }

  /// Answers what is waiting, and from now on every read at once.
  void open() {
    synchronized (this) {
      together = 1;
    }
    letGo();
  }

  /// Answers what is waiting.
  void letGo() {
    List<Completion> answered;
    synchronized (this) {
      answered = List.copyOf(waiting);
      waiting.clear();
    }
    answered.forEach(Completion::succeeded);
  }

  @Override
  public ExportInfo info() {
    return new ExportInfo(
        SIZE_BYTES,
        "",
        Set.of(ExportInfo.Ability.MULTI_CONN, ExportInfo.Ability.WRITE, ExportInfo.Ability.FLUSH),
        4096,
        List.of(ExportInfo.BASE_ALLOCATION, BITMAP));
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    while (target.remaining() >= Long.BYTES) {
      target.putLong(offsetBytes);
    }
    target.position(target.limit());
    if (offsetBytes >= SIZE_BYTES / 2) {
      done.succeeded();
      return;
    }
    boolean enough;
    synchronized (this) {
      waiting.add(done);
      readsTotal++;
      readsMax = Math.max(readsMax, waiting.size());
      enough = waiting.size() >= together;
    }
    if (enough) {
      letGo();
    }
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    done.succeeded();
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    refuse(done);
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    refuse(done);
  }

  @Override
  public void flush(Completion done) {
    done.succeeded();
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    done.succeeded();
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    done.succeeded(
        contexts.stream()
            .map(
                context ->
                    new ContextExtents(
                        context, List.of(new Extent(lengthBytes, context.equals(BITMAP) ? 1 : 0))))
            .toList());
  }

  private static void refuse(Completion done) {
    done.failed(new NbdException(NbdError.EPERM, "not supported"));
  }

  @Override
  public void close() {
    open();
    server.close(Duration.ofSeconds(5));
  }
}
