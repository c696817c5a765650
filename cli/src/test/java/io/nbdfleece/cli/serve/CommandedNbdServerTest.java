// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.control.ControlTarget.NbdAddress;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.block.NullNode;
import io.nbdfleece.fleecing.nbd.NamedExport;
import io.nbdfleece.fleecing.nbd.NamedExports;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class CommandedNbdServerTest {
  private FleecingEngine engine = never();
  private CommandedNbdServer door = never();
  private NamedExports exports = never();
  private final BlockingQueue<String> deleted = new LinkedBlockingQueue<>();

  @TempDir Path directory = Path.of("");

  @SuppressWarnings({"NullAway", "TypeParameterUnusedInFormals"}) // JUnit fills them.
  private static <T> T never() {
    return null;
  }

  @BeforeEach
  void open() throws IOException {
    engine = FleecingEngine.open(new EngineConfig(64 << 10, 1 << 20, directory, 1 << 20, 4));
    exports = new NamedExports(engine, deleted::add);
    door =
        new CommandedNbdServer(
            exports,
            new CommandedNbdServer.Terms(
                new ServerConfig(List.of(), ServerLimits.defaults()), false),
            Duration.ofMillis(200));
  }

  @AfterEach
  void close() throws IOException {
    door.close();
    engine.close();
  }

  @Test
  void oneIsStartedAtATime() throws IOException {
    Path path = directory.resolve("nbd.sock");
    door.start(unix(path, false));
    assertTrue(door.running());
    assertTrue(Files.exists(path));
    assertEquals(
        "NBD server already running",
        assertThrows(IOException.class, () -> door.start(unix(path, false))).getMessage());
    door.close();
    assertFalse(door.running());
    assertFalse(Files.exists(path));
  }

  @Test
  void whatDoesNotRunCannotBeStopped() {
    assertEquals(
        "NBD server not running", assertThrows(IOException.class, door::stop).getMessage());
  }

  @Test
  void aRequestThatHangsKeepsItsExportButNotTheServer() throws Exception {
    HeldTimer timer = new HeldTimer();
    try {
      var _ =
          engine.addDisk(
              new DiskConfig("slow", "null-co://", DiskConfig.Access.READ_WRITE),
              new NullNode(1 << 20, NullNode.Content.ZEROES, 1_000_000_000, timer));
      exports.add(
          new NamedExport(
              "e0",
              "slow",
              new NamedExport.Source.LiveDisk("slow"),
              "slow",
              false,
              Optional.empty(),
              List.of(),
              false));
      Path path = directory.resolve("nbd.sock");
      door.start(unix(path, false));
      try (NbdClient client =
          NbdClient.connect(NbdUri.parse("nbd+unix:///slow?socket=" + path), List.of())) {
        CompletableFuture<Void> reading = client.read(0, ByteBuffer.allocateDirect(4096));
        assertTrue(timer.asked.await(20, TimeUnit.SECONDS));
        IOException hanging = assertThrows(IOException.class, door::stop);
        assertEquals(
            "NBD server stopped, but requests of its clients are not finished yet: the exports they"
                + " are at go when they are: e0",
            hanging.getMessage());
        assertFalse(door.running());
        assertFalse(Files.exists(path));
        assertTrue(exports.isShuttingDown("e0"));
        assertThrows(ExecutionException.class, () -> reading.get(20, TimeUnit.SECONDS));
      }
      assertTrue(deleted.isEmpty());
      timer.release(); // the disk answers
      assertEquals("e0", deleted.poll(20, TimeUnit.SECONDS));
      assertTrue(exports.exports().isEmpty());
      door.start(unix(path, false));
      door.stop();
    } finally {
      timer.release();
    }
  }

  /// Its time stands still, until it is released.
  private static final class HeldTimer implements DelayTimer {
    final CountDownLatch asked = new CountDownLatch(1);
    private final Queue<Runnable> held = new ArrayDeque<>();
    private boolean released;

    @Override
    public long nanoTime() {
      return System.nanoTime();
    }

    @Override
    public void after(long delayNanos, Runnable task) {
      synchronized (this) {
        if (!released) {
          held.add(task);
          asked.countDown();
          return;
        }
      }
      task.run();
    }

    void release() {
      List<Runnable> due;
      synchronized (this) {
        released = true;
        due = List.copyOf(held);
        held.clear();
      }
      due.forEach(Runnable::run);
    }
  }

  @Test
  void whatCannotBeListenedOnLeavesNothingRunning() throws IOException {
    Path nowhere = directory.resolve("nowhere/nbd.sock");
    assertThrows(IOException.class, () -> door.start(unix(nowhere, false)));
    assertFalse(door.running());
    door.start(unix(directory.resolve("nbd.sock"), false));
    assertTrue(door.running());
  }

  @Test
  void withoutCredentialsOfServeThereIsNoTls() {
    IOException refused =
        assertThrows(
            IOException.class, () -> door.start(unix(directory.resolve("nbd.sock"), true)));
    assertTrue(String.valueOf(refused.getMessage()).contains("--tls-certificates"));
  }

  @Test
  void otherMachinesAreLetInWithEncryptionOnly() {
    IOException refused =
        assertThrows(
            IOException.class,
            () ->
                door.start(
                    new NbdAddress(
                        Optional.empty(),
                        Optional.of(new InetSocketAddress(0)),
                        1,
                        Duration.ZERO,
                        false)));
    assertTrue(String.valueOf(refused.getMessage()).contains("--insecure"));
  }

  private static NbdAddress unix(Path path, boolean tls) {
    return new NbdAddress(Optional.of(path), Optional.empty(), 0, Duration.ofSeconds(10), tls);
  }
}
