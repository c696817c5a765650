// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// The packaged program among hostile clients: a stock client beside them gets the right data, and
/// nothing of them is left afterwards.
@Timeout(240)
final class HostileLoadTest {
  private static final int SIZE_BYTES = 64 << 20;
  private static final int GROWTH_THREADS_MAX = 4;
  private static final long GROWTH_BYTES_MAX = 700L << 20;
  private static final int COPIES = 3;

  private final long seed = Long.getLong("test.seed", System.nanoTime());
  private final AtomicBoolean over = new AtomicBoolean();
  private final AtomicLong hostileConnections = new AtomicLong();
  private final List<Thread> hostile = new ArrayList<>();

  @TempDir private Path directory;
  private Path image = Path.of("");
  private byte[] content = new byte[0];
  private PackagedServer server;

  /// One hostile client, from connecting to its end.
  private interface Offence {
    void commit(SplittableRandom random) throws IOException;
  }

  @BeforeEach
  void start() throws IOException {
    System.out.println("HostileLoadTest: test.seed=" + seed);
    image = directory.resolve("vda.img");
    content = Images.random(image, SIZE_BYTES, seed);
    server = PackagedServer.in(directory).disk("vda", image).with("--ram", "16M").start();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private void unleash(Offence offence) {
    SplittableRandom random = new SplittableRandom(seed + hostile.size());
    CountDownLatch begun = new CountDownLatch(1);
    hostile.add(
        Thread.ofPlatform()
            .name("hostile-" + hostile.size())
            .start(
                () -> {
                  while (!over.get()) {
                    try {
                      offence.commit(random);
                    } catch (IOException droppedByServer) {
                      // That is what it deserves.
                      begun.countDown();
                    }
                    begun.countDown();
                    hostileConnections.incrementAndGet();
                  }
                }));
    Awaitility.await().atMost(Duration.ofSeconds(30)).until(() -> begun.getCount() == 0);
  }

  private void endAll() throws InterruptedException {
    over.set(true);
    for (Thread thread : hostile) {
      thread.join();
    }
  }

  private void randomBytes(SplittableRandom random) throws IOException {
    byte[] bytes = new byte[random.nextInt(1, 100_000)];
    random.nextBytes(bytes);
    try (SocketChannel socket = SocketChannel.open(UnixDomainSocketAddress.of(server.socket()))) {
      // Waits to be accepted: see connectAndLeave.
      int _ = socket.read(ByteBuffer.allocate(18));
      ByteBuffer buffer = ByteBuffer.wrap(bytes);
      // Client flags that are allowed take the rest into the options.
      buffer.putInt(0, random.nextInt(4));
      while (buffer.hasRemaining()) {
        int _ = socket.write(buffer);
      }
    }
  }

  private void halfSession(SplittableRandom random) throws IOException {
    try (RawNbdConnection connection = RawNbdConnection.open(server.socket(), "vda")) {
      // So much is missing that the request behind it does not complete the write.
      int length = random.nextInt(64, 1 << 20);
      connection.sendPartOfWrite(0, length, Images.filled(random.nextInt(length - 32), 0xee));
      if (random.nextBoolean()) {
        connection.requestRead(0, 4096);
      }
    }
  }

  private void floodWithoutReading(SplittableRandom random) throws IOException {
    try (RawNbdConnection connection = RawNbdConnection.open(server.socket(), "vda")) {
      for (int count = random.nextInt(1, 200); count > 0; count--) {
        connection.requestRead(random.nextInt(SIZE_BYTES - (1 << 20)), 1 << 20);
      }
      ByteBuffer _ = connection.receive(1);
    }
  }

  private void connectAndLeave(SplittableRandom random) throws IOException {
    try (SocketChannel socket = SocketChannel.open(UnixDomainSocketAddress.of(server.socket()))) {
      // Every other one waits for its greeting: otherwise the kernel's queue of new connections is
      // full, and refuses everybody, before the server has seen any of them.
      if (random.nextBoolean()) {
        int _ = socket.read(ByteBuffer.allocate(18));
      }
    }
    if (random.nextInt(10) == 0) {
      try (RawNbdConnection _ = RawNbdConnection.open(server.socket(), "none")) {
        throw new AssertionError("opened an export that is not there");
      }
    }
  }

  @Test
  void stockClientGetsRightDataBesideHostileOnesAndNothingOfThemStays() throws Exception {
    // Warm: what comes with the first clients stays.
    copy(-1);
    JsonNode _ = server.snapshot("nightly");
    copy(0);
    server.release("nightly");
    ProcessFigures before = server.figures();
    unleash(this::randomBytes);
    unleash(this::halfSession);
    unleash(this::floodWithoutReading);
    unleash(this::connectAndLeave);
    JsonNode _ = server.snapshot("nightly");
    for (int index = 0; index < COPIES; index++) {
      copy(index);
    }
    endAll();
    server.release("nightly");
    Awaitility.await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> server.disk().path("clients").asInt() == 0);
    Awaitility.await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> server.figures().descriptors() <= before.descriptors());
    // Workers that waited for the disk end when they have been idle.
    Awaitility.await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> server.figures().threads() <= before.threads() + GROWTH_THREADS_MAX);
    ProcessFigures after = server.figures();
    System.out.printf(
        "HostileLoadTest: %d hostile connections, before %s, after %s%n",
        hostileConnections.get(), before, after);
    assertTrue(
        after.anonymousBytes() <= before.anonymousBytes() + GROWTH_BYTES_MAX, before + " " + after);
    try (NbdClient client = server.connect("vda")) {
      assertArrayEquals(content, whole(client));
    }
  }

  private static byte[] whole(NbdClient client) throws IOException {
    byte[] all = new byte[SIZE_BYTES];
    for (int at = 0; at < SIZE_BYTES; at += 16 << 20) {
      byte[] part = Images.read(client, at, 16 << 20);
      System.arraycopy(part, 0, all, at, part.length);
    }
    return all;
  }

  private void copy(int index) throws IOException {
    Path copy = directory.resolve("copy" + index);
    String export = index < 0 ? "vda" : "vda@nightly";
    Command.Result _ =
        Command.run(Peer.NBDCOPY.path(), server.uri(export).toString(), copy.toString()).succeeds();
    assertArrayEquals(content, Files.readAllBytes(copy), () -> "copy " + index + ", seed " + seed);
    Files.delete(copy);
  }

  /// CVE-2015-0847: signals in the middle of anything end the process, and never hang it.
  @Test
  void cve2015v0847StormOfSignalsEndsTheProcess() throws Exception {
    unleash(this::floodWithoutReading);
    unleash(this::connectAndLeave);
    ProcessHandle process = ProcessHandle.of(server.pid()).orElseThrow();
    while (process.isAlive()) {
      boolean sent = process.destroy();
      assertTrue(sent || !process.isAlive(), "signal");
    }
    int exitCode = server.awaitEnd();
    endAll();
    // In its own time, or at the second signal.
    assertTrue(exitCode == 0 || exitCode == 130, () -> "exit " + exitCode);
    assertArrayEquals(content, Files.readAllBytes(image));
  }

  /// CVE-2024-7409: clients that never finish their handshake do not keep the process from ending.
  @Test
  void cve2024v7409IdleClientsDoNotKeepTheProcessFromEnding() throws Exception {
    List<SocketChannel> idle = new ArrayList<>();
    for (int count = 0; count < 50; count++) {
      idle.add(SocketChannel.open(UnixDomainSocketAddress.of(server.socket())));
    }
    server.close();
    for (SocketChannel socket : idle) {
      ByteBuffer rest = ByteBuffer.allocate(100);
      try {
        while (socket.read(rest) >= 0) {
          assertTrue(rest.position() <= 18, "more than the greeting");
        }
      } catch (IOException reset) {
        assertEquals(0, rest.position() % 18);
      }
      socket.close();
    }
  }
}
