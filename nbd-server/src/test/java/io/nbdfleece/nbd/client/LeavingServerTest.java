// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.server.LoudLog;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A server that goes away after every byte it sends, in every way: the client fails, at once, and
/// whatever it had already got whole has succeeded.
@Timeout(240)
final class LeavingServerTest {
  private static final int SEED = 4;
  private static final int OFFSET = 300;
  private static final int LENGTH = 700;
  private static final long HANG_SECONDS = 30;

  @TempDir private Path directory;

  private static boolean succeeds(CompletableFuture<?> future) throws Exception {
    try {
      future.get(HANG_SECONDS, TimeUnit.SECONDS);
      return true;
    } catch (ExecutionException e) {
      IOException cause = assertInstanceOf(IOException.class, e.getCause());
      // None of the replies is an error.
      assertTrue(!(cause instanceof NbdException), cause::toString);
      return false;
    }
  }

  /// How many requests succeeded; negative when the handshake failed.
  private static int session(HostileServer server, HostileSession session) throws Exception {
    server.next(session);
    int succeeded = 0;
    NbdClient client;
    try {
      client =
          NbdClient.connect(
              server.uri(),
              ClientOptions.defaults()
                  .withContexts(List.of("base:allocation", "qemu:dirty-bitmap:b0")));
    } catch (IOException failed) {
      assertTrue(session.over.await(HANG_SECONDS, TimeUnit.SECONDS));
      return -1;
    }
    ByteBuffer target = ByteBuffer.allocateDirect(LENGTH);
    CompletableFuture<Void> read = client.read(OFFSET, target);
    CompletableFuture<Void> trim = client.trim(0, 512);
    CompletableFuture<?> status = client.blockStatus(0, 4096);
    if (succeeds(read)) {
      succeeded++;
      byte[] data = new byte[LENGTH];
      target.get(0, data);
      assertArrayEquals(HostileReplies.content(OFFSET, LENGTH), data);
    }
    succeeded += succeeds(trim) ? 1 : 0;
    succeeded += succeeds(status) ? 1 : 0;
    client.abort();
    assertTrue(session.over.await(HANG_SECONDS, TimeUnit.SECONDS), "the server's script");
    ReplyOracle oracle =
        new ReplyOracle(session.format, session.requests, session.replies.toByteArray());
    long whole = session.requests.stream().filter(r -> oracle.success(r).isPresent()).count();
    assertTrue(succeeded <= whole, succeeded + " succeeded of " + whole);
    return succeeded;
  }

  private static HostileSession session(HostileSession.Cut cut) {
    return new HostileSession(new SplittableRandom(SEED), 3, cut);
  }

  private void leaveAtEveryByte(HostileServer server, HostileSession.Way way) throws Exception {
    try (LoudLog log = new LoudLog()) {
      HostileSession whole = session(HostileSession.Cut.NEVER);
      assertEquals(3, session(server, whole));
      int total = whole.sentBytes();
      assertTrue(total > 500, () -> "bytes sent: " + total);
      for (int count = 0; count < total; count++) {
        int succeeded = session(server, session(new HostileSession.Cut(count, way)));
        assertTrue(succeeded < 3, "cut at " + count);
      }
      log.assertSilent("a server that leaves");
    }
  }

  @Test
  void closesItsUnixSocket() throws Exception {
    try (HostileServer server = new HostileServer(directory)) {
      leaveAtEveryByte(server, HostileSession.Way.CLOSE);
    }
  }

  @Test
  void closesItsHalfOfTheUnixSocket() throws Exception {
    try (HostileServer server = new HostileServer(directory)) {
      leaveAtEveryByte(server, HostileSession.Way.HALF_CLOSE);
    }
  }

  @Test
  void closesItsHalfOfTheTcpSocket() throws Exception {
    try (HostileServer server = new HostileServer()) {
      leaveAtEveryByte(server, HostileSession.Way.HALF_CLOSE);
    }
  }

  @Test
  void resetsTheTcpSocket() throws Exception {
    try (HostileServer server = new HostileServer()) {
      leaveAtEveryByte(server, HostileSession.Way.RESET);
    }
  }
}
