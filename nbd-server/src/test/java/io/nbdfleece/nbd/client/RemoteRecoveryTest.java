// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.RemoteExportTest.ALL_FLAGS;
import static io.nbdfleece.nbd.client.RemoteExportTest.SIZE;
import static io.nbdfleece.nbd.client.RemoteExportTest.answer;
import static io.nbdfleece.nbd.client.RemoteExportTest.handshake;
import static io.nbdfleece.nbd.client.RemoteExportTest.run;
import static io.nbdfleece.nbd.client.ScriptedServer.simple;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A remote export whose server has changed in ways that a guest survives.
@Timeout(60)
final class RemoteRecoveryTest {
  private static final int CAN_MULTI_CONN = 1 << 8;

  /// After so many the pause before the next attempt is 3.2 s, longer than the reconnect delay.
  private static final int REFUSAL_COUNT = 6;

  /// As many as a request may break before its time counts.
  private static final int BROKEN_COUNT = 5;

  private static final Duration RECONNECT_DELAY = Duration.ofSeconds(2);

  @TempDir Path directory;

  private static CompletableFuture<List<ContextExtents>> status(
      RemoteExport export, String context) {
    CompletableFuture<List<ContextExtents>> status = new CompletableFuture<>();
    export.blockStatus(
        0,
        4096,
        List.of(context),
        100,
        new StatusCompletion() {
          @Override
          public void succeeded(List<ContextExtents> contexts) {
            status.complete(contexts);
          }

          @Override
          public void failed(IOException error) {
            status.completeExceptionally(error);
          }
        });
    return status;
  }

  @Test
  void lostLastConnectionIsMadeAgainThoughMoreWereRefusedForLong() throws Exception {
    CountDownLatch leave = new CountDownLatch(1);
    AtomicInteger refusals = new AtomicInteger();
    ScriptedServer.Script limited =
        peer -> {
          if (leave.getCount() > 0) {
            refusals.incrementAndGet();
            return;
          }
          handshake(peer, SIZE, ALL_FLAGS);
          while (true) {
            answer(peer, peer.request());
          }
        };
    CompletableFuture<ScriptedServer> successor = new CompletableFuture<>();
    ScriptedServer.Script only =
        peer -> {
          // Takes the path over, so every further connection is the other script's.
          successor.complete(new ScriptedServer(directory, limited));
          handshake(peer, SIZE, ALL_FLAGS);
          answer(peer, peer.request());
          leave.await();
        };
    RemoteOptions options = new RemoteOptions(2, RECONNECT_DELAY, Duration.ZERO);
    ClientOptions client =
        ClientOptions.defaults().withExtendedHeaders(ClientOptions.ExtendedHeaders.NEVER);
    try (ScriptedServer server = new ScriptedServer(directory, only);
        RemoteExport export = RemoteExport.open(server.uri(), options, client);
        ScriptedServer _ = successor.get()) {
      run(export::flush).get();
      Awaitility.await().until(() -> refusals.get() >= REFUSAL_COUNT);
      leave.countDown();
      run(export::flush).get();
    }
  }

  @Test
  void requestOutlastsServerThatBreaksFiveConnections() throws Exception {
    AtomicInteger connection = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS);
                  if (connection.incrementAndGet() <= BROKEN_COUNT) {
                    peer.request();
                    return;
                  }
                  while (true) {
                    answer(peer, peer.request());
                  }
                });
        RemoteExport export = RemoteExportTest.open(server)) {
      run(export::flush).get();
      assertEquals(BROKEN_COUNT + 1, connection.get());
    }
  }

  /// With more connections allowed it is not sent over so many more.
  @Test
  void requestThatBreaksAllConnectionsHasNoMoreThanTheReconnectDelay() throws Exception {
    AtomicInteger broken = new AtomicInteger();
    RemoteOptions options = new RemoteOptions(64, Duration.ofSeconds(1), Duration.ZERO);
    ClientOptions client =
        ClientOptions.defaults().withExtendedHeaders(ClientOptions.ExtendedHeaders.NEVER);
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS & ~CAN_MULTI_CONN);
                  peer.request();
                  broken.incrementAndGet();
                });
        RemoteExport export = RemoteExport.open(server.uri(), options, client)) {
      String failure = String.valueOf(run(export::flush).failure().getMessage());
      assertTrue(failure.contains("given up, 5 connections broke"), failure);
      assertEquals(5, broken.get());
    }
  }

  @Test
  void connectionsOfNoUseAreMadeAfterPausesAlsoWhenSeveralAreWanted() throws Exception {
    AtomicInteger broken = new AtomicInteger();
    RemoteOptions options = new RemoteOptions(4, Duration.ofSeconds(30), Duration.ZERO);
    ClientOptions client =
        ClientOptions.defaults().withExtendedHeaders(ClientOptions.ExtendedHeaders.NEVER);
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS);
                  while (true) {
                    ScriptedServer.Received request = peer.request();
                    if (broken.incrementAndGet() <= BROKEN_COUNT + 1) {
                      return;
                    }
                    answer(peer, request);
                  }
                });
        RemoteExport export = RemoteExport.open(server.uri(), options, client)) {
      long beganNanos = System.nanoTime();
      run(export::flush).get();
      // Four of them may have been there already; then 100 ms, and twice as much for each more.
      long tookMillis = (System.nanoTime() - beganNanos) / 1_000_000;
      assertTrue(tookMillis >= 500, tookMillis + " ms");
    }
  }

  @Test
  void serverThatLosesBitmapGoesOnBeingTheDisk() throws Exception {
    AtomicInteger connection = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  if (connection.incrementAndGet() == 1) {
                    handshake(peer, SIZE, ALL_FLAGS, "base:allocation", "qemu:dirty-bitmap:b0");
                    peer.request();
                    return;
                  }
                  handshake(peer, SIZE, ALL_FLAGS, "base:allocation");
                  while (true) {
                    answer(peer, peer.request());
                  }
                });
        RemoteExport export = RemoteExportTest.open(server)) {
      run(export::flush).get();
      assertEquals(2, connection.get());
      ExecutionException error =
          assertThrows(
              ExecutionException.class, () -> status(export, "qemu:dirty-bitmap:b0").get());
      NbdException refusal = assertInstanceOf(NbdException.class, error.getCause());
      assertEquals(NbdError.ENOTSUP, refusal.error());
      run(export::flush).get();
    }
  }

  @Test
  void flushOfDurableWriteThatFindsNoRoomIsNoAnswerToTheWrite() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, 0x5);
                  peer.send(simple(0, peer.request().cookie()));
                  peer.send(simple(28, peer.request().cookie()));
                  peer.awaitClose();
                });
        RemoteExport export = RemoteExportTest.open(server)) {
      ByteBuffer data = ByteBuffer.allocateDirect(512);
      IOException failure =
          run(done -> export.write(0, data, Export.Durability.DURABLE, done)).failure();
      assertEquals(NbdError.EIO, assertInstanceOf(NbdException.class, failure).error());
    }
  }
}
