// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.awaitility.Awaitility;

/// Guests that write stamps until they are told to stop, or a request of theirs fails. Belongs to
/// one thread.
final class StampLoad implements AutoCloseable {
  private static final Duration PROGRESS_MAX = Duration.ofSeconds(60);

  private final AtomicBoolean stop = new AtomicBoolean();
  private final AtomicLong numbers;
  private final List<NbdClient> clients = new ArrayList<>();
  private final List<StampWriter> writers = new ArrayList<>();
  private final List<Thread> threads = new ArrayList<>();

  private StampLoad(AtomicLong numbers) {
    this.numbers = numbers;
  }

  /// @param disks the index of a name is the number of the disk in stamps and records
  /// @param writersPerDisk each on a connection of its own
  static StampLoad start(PackagedServer server, List<String> disks, int writersPerDisk, long seed)
      throws IOException {
    return start(server, disks, writersPerDisk, seed, new AtomicLong());
  }

  /// @param numbers what writes are numbered with
  static StampLoad start(
      PackagedServer server, List<String> disks, int writersPerDisk, long seed, AtomicLong numbers)
      throws IOException {
    StampLoad load = new StampLoad(numbers);
    Random seeds = new Random(seed);
    try {
      for (int disk = 0; disk < disks.size(); disk++) {
        for (int i = 0; i < writersPerDisk; i++) {
          NbdClient client = server.connect(disks.get(disk));
          load.clients.add(client);
          load.writers.add(new StampWriter(client, disk, seeds.nextLong(), numbers, load.stop));
        }
      }
    } catch (IOException e) {
      load.clients.forEach(NbdClient::close);
      throw e;
    }
    for (StampWriter writer : load.writers) {
      load.threads.add(
          Thread.ofPlatform().name("guest-" + load.threads.size()).daemon().start(writer));
    }
    return load;
  }

  /// Waits until so many more writes have been sent than now.
  void awaitWrites(int count) {
    long enough = numbers.get() + count;
    Awaitility.await()
        .atMost(PROGRESS_MAX)
        .pollInterval(Duration.ofMillis(5))
        .until(() -> numbers.get() >= enough || !failures().isEmpty());
  }

  /// Stops, and waits until each request has its answer or has failed.
  void stop() throws InterruptedException {
    stop.set(true);
    for (Thread thread : threads) {
      if (!thread.join(PROGRESS_MAX)) {
        throw new AssertionError(thread.getName() + ": a request has no answer for a minute");
      }
    }
  }

  /// What was refused or cut off.
  List<Throwable> failures() {
    return writers.stream().flatMap(writer -> writer.failures().stream()).toList();
  }

  /// All writes, those without an answer too. After [#stop].
  List<WriteRecord> records() {
    return writers.stream().flatMap(writer -> writer.records().stream()).toList();
  }

  /// The same, as far as they can be checked after the server was killed: of a write that nobody
  /// answered any blocks may be there, so that it counts as one write for each.
  List<WriteRecord> recordsAfterKill() {
    return records().stream().flatMap(StampLoad::blocksIfUnanswered).toList();
  }

  private static Stream<WriteRecord> blocksIfUnanswered(WriteRecord write) {
    return isAnswered(write)
        ? Stream.of(write)
        : IntStream.range(write.firstBlock(), write.firstBlock() + write.blockCount())
            .mapToObj(
                block ->
                    new WriteRecord(
                        write.number(),
                        write.disk(),
                        block,
                        1,
                        write.content(),
                        write.sentNanos(),
                        write.ackedNanos()));
  }

  /// Whether its client knows that it has happened.
  static boolean isAnswered(WriteRecord write) {
    return write.ackedNanos() != Long.MAX_VALUE;
  }

  /// Stops and disconnects.
  @Override
  public void close() {
    try {
      stop();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    } finally {
      clients.forEach(NbdClient::close);
    }
  }
}
