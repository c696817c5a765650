// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.PointInTimeChecker.Interval;
import io.nbdfleece.integration.PointInTimeChecker.View;
import io.nbdfleece.integration.SoakHistory.Frozen;
import io.nbdfleece.integration.SoakRound.Routine;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// All that a server with a state directory can be asked for. Each routine is for one thread, and
/// they may all run at once: what one makes has names of its own.
final class SoakRoutines {
  private static final int BLOCK_BYTES = 64 << 10;
  private static final int CHECKPOINTS_MAX = 3;
  private static final List<String> EDITS = List.of("clear", "disable", "enable", "merge");
  private static final int RAM_BYTES_MIN = 1 << 20;
  private static final long SCRATCH_BYTES_MIN = 256L << 20;

  private final PackagedServer server;
  private final List<String> disks;
  private final int sizeBytes;
  private final Optional<String> nbdcopy = Peer.find("nbdcopy");
  private final AtomicInteger numbers = new AtomicInteger();
  private final Queue<Frozen> frozen = new ConcurrentLinkedQueue<>();
  private final Deque<String> checkpoints = new ArrayDeque<>();

  SoakRoutines(PackagedServer server, List<String> disks, int sizeBytes) {
    this.server = server;
    this.disks = disks;
    this.sizeBytes = sizeBytes;
  }

  Map<String, Routine> byName() {
    Map<String, Routine> routines = new LinkedHashMap<>();
    routines.put("snapshots", this::snapshot);
    routines.put("discards", this::discard);
    routines.put("bitmaps", this::bitmaps);
    routines.put("checkpoints", this::checkpoint);
    routines.put("exports", this::export);
    routines.put("connects", this::connect);
    routines.put("resizes", this::resize);
    routines.put("queries", this::query);
    return routines;
  }

  /// What snapshots have shown since this was asked last.
  List<Frozen> takeFrozen() {
    List<Frozen> taken = new ArrayList<>();
    for (Frozen each = frozen.poll(); each != null; each = frozen.poll()) {
      taken.add(each);
    }
    return taken;
  }

  /// Freezes one disk or all, reads it with two clients, perhaps with a stock one too, releases it.
  private void snapshot(Random choices) throws Exception {
    String name = "view" + numbers.incrementAndGet();
    List<String> chosen =
        choices.nextBoolean() ? disks : List.of(disks.get(choices.nextInt(disks.size())));
    long beforeNanos = System.nanoTime();
    JsonNode _ = execute("fleecing-start", start(name, chosen));
    Interval window = new Interval(beforeNanos, System.nanoTime());
    List<View> views = new ArrayList<>();
    for (String disk : chosen) {
      int index = disks.indexOf(disk);
      views.add(new View(index, StampReader.readTwice(server.uri(disk + "@" + name), index)));
      if (nbdcopy.isPresent() && choices.nextInt(4) == 0) {
        Command.Result _ =
            Command.run(nbdcopy.get(), server.uri(disk + "@" + name).toString(), "null:")
                .succeeds();
      }
    }
    frozen.add(new Frozen(name, window, views));
    JsonNode _ = execute("fleecing-stop", ControlSocket.object().put("name", name));
  }

  /// A client that gives back what it has, by trimming it or by reading it once.
  private void discard(Random choices) throws Exception {
    String name = "stream" + numbers.incrementAndGet();
    String disk = disks.get(choices.nextInt(disks.size()));
    boolean once = choices.nextBoolean();
    JsonNode _ =
        execute(
            "fleecing-start",
            start(name, List.of(disk)).put("access", once ? "read-once" : "discard"));
    try (NbdClient backup = server.connect(disk + "@" + name)) {
      int clusters = sizeBytes / BLOCK_BYTES;
      int first = choices.nextInt(clusters / 2);
      for (int cluster = first; cluster < first + clusters / 4; cluster++) {
        long offset = (long) cluster * BLOCK_BYTES;
        byte[] _ = Images.read(backup, offset, BLOCK_BYTES);
        if (!once) {
          Images.await(backup.trim(offset, BLOCK_BYTES));
        }
      }
      NbdException gone =
          Images.refused(
              NbdError.EIO,
              backup.read((long) first * BLOCK_BYTES, ByteBuffer.allocateDirect(512)));
      assertTrue(String.valueOf(gone.getMessage()).contains("released"), gone::toString);
    }
    JsonNode _ = execute("fleecing-stop", ControlSocket.object().put("name", name));
  }

  /// The life of two bitmaps, one of them persistent.
  private void bitmaps(Random choices) throws Exception {
    String disk = disks.get(choices.nextInt(disks.size()));
    String one = "b" + numbers.incrementAndGet();
    String other = "b" + numbers.incrementAndGet();
    int granularity = 512 << choices.nextInt(10);
    JsonNode _ =
        execute(
            "block-dirty-bitmap-add",
            bitmap(disk, one).put("granularity", granularity).put("persistent", true));
    JsonNode _ = execute("block-dirty-bitmap-add", bitmap(disk, other).put("disabled", true));
    for (int i = choices.nextInt(4); i >= 0; i--) {
      String edit = EDITS.get(choices.nextInt(EDITS.size()));
      ObjectNode arguments = edit.equals("merge") ? merge(disk, one, other) : bitmap(disk, one);
      JsonNode _ = execute("block-dirty-bitmap-" + edit, arguments);
    }
    for (String each : List.of(one, other)) {
      JsonNode _ = execute("block-dirty-bitmap-remove", bitmap(disk, each));
    }
  }

  /// An incremental backup of all disks, which sometimes fails; the chain stays short.
  private void checkpoint(Random choices) throws Exception {
    String checkpoint = "c" + numbers.incrementAndGet();
    String name = "backup-" + checkpoint;
    ObjectNode arguments = start(name, disks).put("checkpoint", checkpoint);
    boolean full = checkpoints.isEmpty();
    if (!full) {
      arguments.put("since", checkpoints.getLast()).put("bitmap-name", "changes");
    }
    JsonNode _ = execute("fleecing-start", arguments);
    for (String disk : disks) {
      String context = full ? "base:allocation" : "qemu:dirty-bitmap:changes";
      try (NbdClient backup = NbdClient.connect(server.uri(disk + "@" + name), List.of(context))) {
        for (DirtyMap.Range range : full ? List.<DirtyMap.Range>of() : ranges(backup, context)) {
          int length = (int) Math.min(range.lengthBytes(), 1 << 20);
          byte[] first = Images.read(backup, range.offsetBytes(), length);
          assertArrayEquals(first, Images.read(backup, range.offsetBytes(), length), name);
        }
      }
    }
    boolean success = choices.nextInt(4) > 0;
    JsonNode _ =
        execute("fleecing-stop", ControlSocket.object().put("name", name).put("success", success));
    if (success) {
      checkpoints.addLast(checkpoint);
    }
    if (checkpoints.size() > CHECKPOINTS_MAX) {
      String oldest = checkpoints.removeFirst();
      JsonNode _ =
          execute("x-nbdfleece-checkpoint-delete", ControlSocket.object().put("name", oldest));
    }
  }

  private static List<DirtyMap.Range> ranges(NbdClient backup, String context) throws IOException {
    return DirtyMap.read(backup, context).ranges();
  }

  /// One more export of a disk, which is taken away while somebody has it open, or not.
  private void export(Random choices) throws Exception {
    String id = "e" + numbers.incrementAndGet();
    JsonNode _ =
        execute(
            "block-export-add",
            ControlSocket.object()
                .put("type", "nbd")
                .put("id", id)
                .put("node-name", disks.get(choices.nextInt(disks.size())))
                .put("name", id));
    boolean hard = choices.nextBoolean();
    ObjectNode away = ControlSocket.object().put("id", id).put("mode", hard ? "hard" : "safe");
    try (NbdClient client = server.connect(id)) {
      byte[] _ = Images.read(client, choices.nextInt(sizeBytes - BLOCK_BYTES), BLOCK_BYTES);
      if (hard) {
        JsonNode _ = execute("block-export-del", away);
      }
    }
    if (!hard) {
      JsonNode _ = execute("block-export-del", away);
    }
  }

  /// Clients that come and go, politely, in the middle of something, or without a word.
  private void connect(Random choices) throws Exception {
    String disk = disks.get(choices.nextInt(disks.size()));
    switch (choices.nextInt(4)) {
      case 0 -> {
        try (NbdClient client = server.connect(disk)) {
          assertEquals(sizeBytes, client.info().sizeBytes());
        }
      }
      case 1 -> {
        try (RawNbdConnection leaving = RawNbdConnection.open(server.socket(), disk)) {
          for (int i = 0; i < 8; i++) {
            leaving.requestRead(0, 1 << 20);
          }
          ByteBuffer _ = leaving.receive(16);
        }
      }
      case 2 -> {
        try (RawNbdConnection dying = RawNbdConnection.open(server.socket(), disk)) {
          dying.sendPartOfWrite(0, BLOCK_BYTES, Images.filled(4096, 0xbb));
        }
      }
      default -> {
        try (SocketChannel silent =
            SocketChannel.open(UnixDomainSocketAddress.of(server.socket()))) {
          int _ = silent.read(ByteBuffer.allocate(18));
        }
      }
    }
  }

  /// Room for preserved data is never less than all snapshots together could need.
  private void resize(Random choices) throws Exception {
    ObjectNode sizes = ControlSocket.object();
    sizes.put("ram", RAM_BYTES_MIN + choices.nextInt(4) * (1 << 20));
    sizes.put("scratch-limit", SCRATCH_BYTES_MIN + choices.nextInt(4) * (32L << 20));
    JsonNode store = execute("cache-resize", sizes);
    assertTrue(store.path("capacity-bytes").asLong() >= SCRATCH_BYTES_MIN, store::toString);
  }

  /// Somebody who watches.
  private void query(Random choices) throws Exception {
    try (ControlSocket control = server.control()) {
      for (String command :
          List.of(
              "query-fleecing",
              "x-nbdfleece-query-disks",
              "x-nbdfleece-query-store",
              "x-nbdfleece-query-checkpoints",
              "query-block-exports",
              "query-named-block-nodes")) {
        JsonNode answer = control.execute(command, ControlSocket.object());
        assertTrue(answer.isArray() || answer.isObject(), answer::toString);
      }
      for (JsonNode snapshot : control.execute("query-fleecing", ControlSocket.object())) {
        assertTrue(!snapshot.path("broken").asBoolean(true), snapshot::toString);
      }
    }
    if (choices.nextInt(8) == 0) {
      // One that leaves before it has its answer.
      try (ControlSocket leaving = server.control()) {
        leaving.send("{\"execute\": \"query-qmp-schema\"}");
      }
    }
  }

  private JsonNode execute(String command, ObjectNode arguments) throws IOException {
    try (ControlSocket control = server.control()) {
      return control.execute(command, arguments);
    }
  }

  private static ObjectNode start(String name, List<String> disks) {
    return ModelServer.arguments(name, disks);
  }

  private static ObjectNode merge(String disk, String source, String target) {
    ObjectNode arguments = ControlSocket.object().put("node", disk).put("target", target);
    ArrayNode _ = arguments.putArray("bitmaps").add(source);
    return arguments;
  }

  private static ObjectNode bitmap(String disk, String name) {
    return ControlSocket.object().put("node", disk).put("name", name);
  }
}
