// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static io.nbdfleece.nbd.client.ScriptedServer.bytes;
import static io.nbdfleece.nbd.client.ScriptedServer.dataChunk;
import static io.nbdfleece.nbd.client.ScriptedServer.exportInfo;
import static io.nbdfleece.nbd.client.ScriptedServer.optionReply;
import static io.nbdfleece.nbd.client.ScriptedServer.simple;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.ScriptedServer.Peer;
import io.nbdfleece.nbd.client.ScriptedServer.Received;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// A remote export whose server goes away, comes back, or comes back as something else.
@Timeout(60)
final class RemoteExportTest {
  static final int ALL_FLAGS = 0xd6d;
  static final long SIZE = 1 << 20;
  private static final String CONTEXT = "base:allocation";

  @TempDir Path directory;

  /// What a caller sees of one request.
  static final class Outcome extends CompletableFuture<Boolean> implements Completion {
    @Override
    public void succeeded() {
      assertTrue(complete(true), "completed twice");
    }

    @Override
    public void failed(IOException error) {
      assertTrue(completeExceptionally(error), "completed twice");
    }

    IOException failure() {
      ExecutionException error = assertThrows(ExecutionException.class, this::get);
      return assertInstanceOf(IOException.class, error.getCause());
    }
  }

  interface Start {
    void start(Completion done);
  }

  static Outcome run(Start start) {
    Outcome outcome = new Outcome();
    start.start(outcome);
    return outcome;
  }

  static void handshake(Peer peer, long size, int flags, String... contexts) throws IOException {
    handshake(peer, size, flags, new byte[0], contexts);
  }

  private static void handshake(
      Peer peer, long size, int flags, byte[] moreInfo, String... contexts) throws IOException {
    peer.greet();
    for (int option = peer.option(); option != 7; option = peer.option()) {
      if (option != 8) {
        for (int i = 0; i < contexts.length; i++) {
          peer.send(optionReply(option, 4, bytes().u32(i + 1L).text(contexts[i]).array()));
        }
      }
      peer.send(optionReply(option, 1, new byte[0]));
    }
    peer.send(exportInfo(size, flags));
    peer.send(moreInfo);
    peer.send(optionReply(7, 1, new byte[0]));
  }

  private static byte[] blockSizes(int minimum, int preferred, int maximum) {
    return optionReply(7, 3, bytes().u16(3).u32(minimum).u32(preferred).u32(maximum).array());
  }

  static void answer(Peer peer, Received request) throws IOException {
    if (request.command() == 0) {
      byte[] data = new byte[request.length()];
      java.util.Arrays.fill(data, (byte) 7);
      peer.send(dataChunk(1, request.cookie(), request.offset(), data));
    } else {
      peer.send(simple(0, request.cookie()));
    }
  }

  private static RemoteExport open(ScriptedServer server, Duration delay, Duration deadline)
      throws IOException {
    return RemoteExport.open(
        server.uri(),
        new RemoteOptions(1, delay, deadline),
        ClientOptions.defaults().withExtendedHeaders(ClientOptions.ExtendedHeaders.NEVER));
  }

  static RemoteExport open(ScriptedServer server) throws IOException {
    return open(server, Duration.ofSeconds(30), Duration.ZERO);
  }

  private static String text(Throwable error) {
    return String.valueOf(error.getMessage());
  }

  @Test
  void unansweredRequestsAreSentAgainOverTheNextConnection() throws Exception {
    AtomicInteger connection = new AtomicInteger();
    List<String> received = Collections.synchronizedList(new ArrayList<>());
    ScriptedServer.Script script =
        peer -> {
          handshake(peer, SIZE, ALL_FLAGS);
          boolean answers = connection.incrementAndGet() > 2;
          for (Received request : peer.requests(5)) {
            received.add(request.command() + "@" + request.offset() + "+" + request.length());
            if (answers) {
              answer(peer, request);
            }
          }
          if (answers) {
            peer.awaitClose();
          }
        };
    ByteBuffer target = ByteBuffer.allocateDirect(4096);
    try (ScriptedServer server = new ScriptedServer(directory, script);
        RemoteExport export = open(server)) {
      ByteBuffer data = ByteBuffer.allocateDirect(512);
      List<Outcome> outcomes =
          List.of(
              run(done -> export.read(4096, target, done)),
              run(done -> export.write(512, data, Export.Durability.CACHED, done)),
              run(done -> export.trim(8192, 1024, Export.Durability.CACHED, done)),
              run(done -> export.cache(0, 512, done)),
              run(export::flush));
      for (Outcome outcome : outcomes) {
        outcome.get();
      }
    }
    assertEquals(15, received.size());
    List<String> expected = List.of("0@4096+4096", "1@512+512", "3@0+0", "4@8192+1024", "5@0+512");
    for (int i = 0; i < 15; i += 5) {
      assertEquals(expected, received.subList(i, i + 5).stream().sorted().toList());
    }
    assertEquals(7, target.get(4095));
  }

  @Test
  void requestsFailOnceTheDelayIsOverAndTheReturnHeals() throws Exception {
    ScriptedServer.Script healthy =
        peer -> {
          handshake(peer, SIZE, ALL_FLAGS);
          while (true) {
            answer(peer, peer.request());
          }
        };
    ScriptedServer gone =
        new ScriptedServer(
            directory,
            peer -> {
              handshake(peer, SIZE, ALL_FLAGS);
              peer.request();
            });
    try (RemoteExport export = open(gone, Duration.ofMillis(300), Duration.ZERO)) {
      gone.close();
      Outcome inFlight = run(export::flush);
      String failure = text(inFlight.failure());
      assertTrue(failure.startsWith(gone.uri() + ": not reachable since 20"), failure);
      assertTrue(failure.contains("there is no socket"), failure);
      assertEquals(NbdError.EIO, NbdError.from(inFlight.failure()));
      Outcome later = run(export::flush);
      assertTrue(later.isDone(), "fails at once");
      assertTrue(text(later.failure()).contains("not reachable"));
      try (ScriptedServer back = new ScriptedServer(directory, healthy)) {
        assertEquals(gone.uri(), back.uri());
        Awaitility.await()
            .atMost(Duration.ofSeconds(30))
            .until(() -> run(export::flush).handle((ok, error) -> error == null).get());
      }
    }
  }

  @Test
  void withoutDelayRequestsFailAtOnceAndTheReturnHeals() throws Exception {
    AtomicInteger connection = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS);
                  int number = connection.incrementAndGet();
                  while (true) {
                    Received request = peer.request();
                    if (number == 1) {
                      return;
                    }
                    answer(peer, request);
                  }
                });
        RemoteExport export = open(server, Duration.ZERO, Duration.ZERO)) {
      assertTrue(text(run(export::flush).failure()).contains("not reachable since"));
      Awaitility.await().until(() -> export.connectionCount() == 1);
      run(export::flush).get();
    }
  }

  record Change(String name, ScriptedServer.Script second, String expected) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Change> changes() {
    return Stream.of(
        new Change(
            "size", p -> handshake(p, SIZE * 2, ALL_FLAGS, CONTEXT), "another size: 2097152"),
        new Change("read-only", p -> handshake(p, SIZE, ALL_FLAGS | 2, CONTEXT), "without [WRITE"),
        new Change("no flush", p -> handshake(p, SIZE, ALL_FLAGS & ~4, CONTEXT), "without [FLUSH]"),
        new Change(
            "no allocation",
            p -> handshake(p, SIZE, ALL_FLAGS, "a:b"),
            "no metadata context base:allocation"),
        new Change(
            "minimum",
            p -> handshake(p, SIZE, ALL_FLAGS, blockSizes(4096, 4096, 1 << 25), CONTEXT),
            "narrower limits"));
  }

  @ParameterizedTest
  @MethodSource("changes")
  void serverThatComesBackChangedIsNeverUsedAgain(Change change) throws Exception {
    AtomicInteger connection = new AtomicInteger();
    List<Received> received = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  if (connection.incrementAndGet() == 1) {
                    handshake(peer, SIZE, ALL_FLAGS, CONTEXT);
                    peer.request();
                  } else {
                    change.second().run(peer);
                    received.add(peer.request());
                  }
                });
        RemoteExport export = open(server)) {
      assertEquals(List.of(CONTEXT), export.info().metaContexts());
      String failure = text(run(export::flush).failure());
      assertTrue(failure.contains("came back with"), failure);
      assertTrue(failure.contains(change.expected()), failure);
      assertTrue(text(run(export::flush).failure()).contains("not used any more"));
      assertEquals(List.of(), received);
    }
    assertEquals(2, connection.get());
  }

  @Test
  void longRequestsAreSentInPiecesThatTheServerTakes() throws Exception {
    List<String> received = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, 1L << 40, ALL_FLAGS, blockSizes(512, 4096, 4608));
                  while (true) {
                    Received request = peer.request();
                    received.add(
                        request.command()
                            + "@"
                            + request.offset()
                            + "+"
                            + Integer.toUnsignedString(request.length()));
                    answer(peer, request);
                  }
                });
        RemoteExport export = open(server)) {
      assertEquals(512, export.info().minimumBlockBytes());
      ByteBuffer target = ByteBuffer.allocateDirect(10 << 10);
      run(done -> export.read(1024, target, done)).get();
      for (int i = 0; i < target.capacity(); i++) {
        assertEquals(7, target.get(i));
      }
      run(done -> export.trim(512, 5L << 30, Export.Durability.CACHED, done)).get();
      Outcome fast =
          run(
              done ->
                  export.writeZeroes(
                      0, 5L << 30, Export.Zeroing.FAST_ONLY, Export.Durability.CACHED, done));
      NbdException refused = assertInstanceOf(NbdException.class, fast.failure());
      assertEquals(NbdError.ENOTSUP, refused.error());
    }
    Awaitility.await().until(() -> received.contains("2@0+0"));
    assertEquals(
        List.of(
            "0@1024+4608",
            "0@10240+1024",
            "0@5632+4608",
            "2@0+0",
            "4@2147484160+2147483648",
            "4@4294967808+1073741824",
            "4@512+2147483648"),
        received.stream().sorted().toList());
  }

  @Test
  void connectionThatDoesNotAnswerInTimeIsGivenUp() throws Exception {
    AtomicInteger connection = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS);
                  int number = connection.incrementAndGet();
                  while (true) {
                    Received request = peer.request();
                    if (number > 1) {
                      answer(peer, request);
                    }
                  }
                });
        RemoteExport export = open(server, Duration.ofSeconds(30), Duration.ofMillis(100))) {
      run(export::flush).get();
      assertEquals(2, connection.get());
    }
  }

  @Test
  void requestThatBreaksEveryConnectionIsGivenUpAfterTheReconnectDelay() throws Exception {
    AtomicInteger connection = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS);
                  connection.incrementAndGet();
                  peer.request();
                });
        RemoteExport export = open(server, Duration.ofSeconds(1), Duration.ZERO)) {
      String failure = text(run(export::flush).failure());
      assertTrue(failure.contains("given up, 5 connections broke"), failure);
      assertEquals(5, connection.get());
    }
  }

  @Test
  void serverThatShutsDownIsTakenAsGone() throws Exception {
    AtomicInteger connection = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS);
                  int error = connection.incrementAndGet() == 1 ? 108 : 0;
                  peer.send(simple(error, peer.request().cookie()));
                  peer.awaitClose();
                });
        RemoteExport export = open(server)) {
      run(export::flush).get();
    }
  }

  @Test
  void errorOfTheServerIsPassedOnAndNotRepeated() throws Exception {
    AtomicInteger requests = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, ALL_FLAGS);
                  while (true) {
                    peer.send(simple(28, peer.request().cookie()));
                    requests.incrementAndGet();
                  }
                });
        RemoteExport export = open(server)) {
      NbdException error = assertInstanceOf(NbdException.class, run(export::flush).failure());
      assertEquals(NbdError.ENOSPC, error.error());
      assertEquals(1, export.connectionCount());
    }
  }

  @Test
  void closeFailsWhatWaitsForTheServer() throws Exception {
    CountDownLatch opened = new CountDownLatch(1);
    ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              handshake(peer, SIZE, ALL_FLAGS);
              opened.await();
            });
    Outcome waiting;
    try (RemoteExport export = open(server)) {
      server.close();
      opened.countDown();
      Awaitility.await().until(() -> export.connectionCount() == 0);
      waiting = run(export::flush);
      assertFalse(waiting.isDone());
    }
    assertTrue(text(waiting.failure()).contains("client was closed"));
  }

  @Test
  void durableWriteBecomesWriteAndFlushWhereThereIsNoFua() throws Exception {
    List<Integer> commands = Collections.synchronizedList(new ArrayList<>());
    try (ScriptedServer server =
            new ScriptedServer(
                directory,
                peer -> {
                  handshake(peer, SIZE, 0x5);
                  while (true) {
                    Received request = peer.request();
                    commands.add(request.command() << 8 | request.flags());
                    answer(peer, request);
                  }
                });
        RemoteExport export = open(server)) {
      assertEquals(
          java.util.Set.of(Ability.WRITE, Ability.FLUSH, Ability.FUA, Ability.MULTI_CONN),
          export.info().abilities());
      ByteBuffer data = ByteBuffer.allocateDirect(512);
      run(done -> export.write(0, data, Export.Durability.DURABLE, done)).get();
      Outcome trim = run(done -> export.trim(0, 512, Export.Durability.CACHED, done));
      NbdException refused = assertInstanceOf(NbdException.class, trim.failure());
      assertEquals(NbdError.ENOTSUP, refused.error());
    }
    // The server reads the goodbye after the client has gone.
    Awaitility.await()
        .untilAsserted(() -> assertEquals(List.of(1 << 8, 3 << 8, 2 << 8), List.copyOf(commands)));
  }

  @Test
  void sizeThatIsNoMultipleOfTheMinimumBlockIsRefused() throws Exception {
    try (ScriptedServer server =
        new ScriptedServer(
            directory,
            peer -> {
              handshake(peer, 1000, ALL_FLAGS, blockSizes(512, 4096, 1 << 20));
              peer.awaitClose();
            })) {
      IOException error = assertThrows(IOException.class, () -> open(server).close());
      assertTrue(text(error).contains("size 1000 is no multiple"), error.toString());
    }
  }
}
