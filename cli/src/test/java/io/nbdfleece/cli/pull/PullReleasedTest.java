// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.nbd.EngineExports;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Snapshots that end while they are pulled, or let go of what was read: of a real engine, because
/// only its text tells what has happened.
@Timeout(60)
final class PullReleasedTest {
  private static final int DISK_BYTES = 64 << 20;

  @TempDir Path directory = Path.of("");

  private Optional<NbdServer> server = Optional.empty();

  @AfterEach
  void stop() {
    server.ifPresent(one -> one.close(Duration.ofSeconds(5)));
  }

  @Test
  void aReleasedSnapshotLeavesNothingToGoOnWith() throws IOException {
    try (FleecingEngine engine = engine(SnapshotRequest.Access.READ_ONLY)) {
      serve(engine);
      CommandFailure failure = pulled(new AtFirst(() -> release(engine)), 0);
      assertEquals(ExitCode.SNAPSHOT_BROKEN, failure.code());
      assertTrue(
          Messages.of(failure)
              .endsWith("EIO: snapshot s was released: take a new snapshot, and pull that"),
          Messages.of(failure));
      assertFalse(Files.exists(file(".part")));
      assertFalse(Files.exists(file(".part.map")));
    }
  }

  @Test
  void whatAReadOnceSnapshotHasLetGoOfNeverComesAgain() throws IOException {
    try (FleecingEngine engine = engine(SnapshotRequest.Access.READ_ONCE)) {
      serve(engine);
      PullSummary _ = pull(Progress.none(), 0).run();
      Files.move(file(""), file(".first"));
      CommandFailure failure = pulled(Progress.none(), 0);
      assertEquals(ExitCode.SNAPSHOT_BROKEN, failure.code());
      assertTrue(
          Messages.of(failure)
              .endsWith(
                  ": take a new snapshot, and pull that; what has come is kept, and cannot be"
                      + " completed: delete it if it is of no use: "
                      + file(".part")
                      + " and "
                      + file(".part.map")),
          Messages.of(failure));
    }
  }

  @Test
  void aServerThatComesBackWithoutTheSnapshotIsNotAskedAgain() throws IOException {
    try (FleecingEngine engine = engine(SnapshotRequest.Access.READ_ONLY)) {
      serve(engine);
      CommandFailure failure =
          pulled(
              new AtFirst(
                  () -> {
                    server.orElseThrow().close(Duration.ZERO);
                    release(engine);
                    serve(engine);
                  }),
              30);
      assertEquals(ExitCode.NOT_FOUND, failure.code());
      assertFalse(Messages.of(failure).contains(Pull.GO_ON), Messages.of(failure));
      assertTrue(
          Messages.of(failure)
              .endsWith("take a new one, and delete " + file(".part and ") + file(".part.map")),
          Messages.of(failure));
      assertTrue(Files.exists(file(".part.map")));
    }
  }

  private FleecingEngine engine(SnapshotRequest.Access access) throws IOException {
    byte[] content = new byte[DISK_BYTES];
    Arrays.fill(content, (byte) 7);
    Path image = Files.write(directory.resolve("vda.img"), content);
    FleecingEngine engine =
        FleecingEngine.open(new EngineConfig(65536, 4 << 20, directory, 4 << 20, 4));
    var _ = engine.addDisk(new DiskConfig("vda", image.toString(), DiskConfig.Access.READ_WRITE));
    SnapshotStatus _ =
        engine
            .snapshot(
                new SnapshotRequest(
                    List.of("vda"),
                    Optional.of("s"),
                    access,
                    SnapshotRequest.OnCbwError.BREAK_SNAPSHOT,
                    Duration.ZERO))
            .join();
    return engine;
  }

  private static void release(FleecingEngine engine) {
    try {
      SnapshotStatus _ = engine.release("s");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void serve(FleecingEngine engine) {
    try {
      server =
          Optional.of(
              NbdServer.start(
                  new ServerConfig(
                      List.of(new ServerConfig.Listen.Unix(directory.resolve("nbd.sock"))),
                      ServerLimits.defaults()),
                  new EngineExports(engine)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Path file(String ending) {
    return directory.resolve("out.img" + ending);
  }

  private CommandFailure pulled(Progress progress, int reconnectSeconds) {
    return assertThrows(CommandFailure.class, pull(progress, reconnectSeconds)::run);
  }

  private Pull pull(Progress progress, int reconnectSeconds) {
    return new Pull(
        new NbdUri.Unix(directory.resolve("nbd.sock"), "vda@s"),
        new PullOptions(
            file("").toString(),
            false,
            PullTarget.Sync.NONE,
            OptionalInt.of(1),
            PullOptions.Resume.YES,
            Duration.ofSeconds(reconnectSeconds),
            Optional.empty()),
        progress);
  }

  /// Does something as soon as some data has come, while most of it has not been asked for.
  private static final class AtFirst implements Progress {
    private final Runnable action;
    private boolean done;

    AtFirst(Runnable action) {
      this.action = action;
    }

    @Override
    public void update(PullState state) {
      if (!done && state.dataBytes() > 0) {
        done = true;
        action.run();
      }
    }

    @Override
    public void finished(PullState state) {}

    @Override
    public void failed() {}
  }
}
