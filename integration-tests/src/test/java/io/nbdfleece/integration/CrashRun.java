// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.integration.ModelDisk.Change;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/*
 * One run of the model test: a server is started, used and stopped or killed, again and again, over
 * the same disks and the same state directory. The model knows what must be marked and what may be
 * marked besides: only what was in flight when a command or a crash fell into it. What is found
 * there is taken over, so that it must stay so.
 *
 * A checkpoint carries the frozen bytes that its snapshot showed. Every later incremental since it
 * must lead from these bytes to its own frozen view, and its map must be exact.
 */
final class CrashRun {
  /// The last cluster and the last granule are short ones.
  static final int DISK_BYTES = (1 << 20) + 12_288;

  private static final List<String> DISKS = List.of("vda", "vdb");
  private static final List<ModelDisk.Kind> KINDS =
      List.of(
          ModelDisk.Kind.WRITE,
          ModelDisk.Kind.WRITE,
          ModelDisk.Kind.WRITE,
          ModelDisk.Kind.ZERO,
          ModelDisk.Kind.TRIM);
  private static final int SNAPSHOTS_MAX = 2;
  private static final int CHECKPOINTS_MAX = 4;
  private static final long KILL_AFTER_NANOS_MAX = 4_000_000;

  private final Path directory;
  private final Random random;
  private final List<String> log = new ArrayList<>();
  private final List<Live> live = new ArrayList<>();
  private Map<String, ModelDisk> disks = new LinkedHashMap<>();
  private int number;

  /// A snapshot that has not been released.
  private record Live(String name, Map<String, byte[]> frozen, Optional<String> checkpoint) {}

  CrashRun(Path directory, Random random) throws IOException {
    this.directory = directory;
    this.random = random;
    for (String disk : DISKS) {
      Path _ = Images.sparse(directory.resolve(disk + ".img"), DISK_BYTES);
      disks.put(disk, new ModelDisk(disk, DISK_BYTES));
    }
  }

  /// What was done, for a failure's message.
  String story() {
    return String.join("\n", log);
  }

  /// Runs until the process has been killed that often.
  void run(int kills) throws IOException {
    List<Map<String, ModelDisk>> possible = List.of(disks);
    Map<String, List<Change>> lost = Map.of();
    // Makes the archive of classes, and shows that an empty state is one, too.
    ModelServer.start(directory, DISKS).close();
    int killed = 0;
    while (killed < kills) {
      say("start " + killed + "/" + kills);
      try (ModelServer server = ModelServer.start(directory, DISKS)) {
        disks = CrashCheck.settle(server, possible, lost);
        for (int i = random.nextInt(4, 12); i > 0; i--) {
          step(server);
        }
        lost = Map.of();
        if (random.nextInt(6) == 0) {
          say("stop");
          possible = List.of(disks);
        } else {
          CrashMoment moment = new CrashMoment(this, random);
          possible = moment.crash(server, KILL_AFTER_NANOS_MAX);
          lost = moment.lost();
          killed++;
        }
      }
      live.clear();
      possible.forEach(model -> model.values().forEach(ModelDisk::restarted));
    }
  }

  void say(String what) {
    log.add(what);
  }

  Map<String, ModelDisk> copyOfDisks() {
    Map<String, ModelDisk> copy = new LinkedHashMap<>();
    disks.forEach((name, disk) -> copy.put(name, disk.copy()));
    return copy;
  }

  private ModelDisk disk(String name) {
    return Optional.ofNullable(disks.get(name)).orElseThrow();
  }

  private void step(ModelServer server) throws IOException {
    switch (random.nextInt(10)) {
      case 0, 1, 2 -> finish(submit(server), false);
      case 3, 4 -> edit(server);
      case 5, 6 -> snapshot(server);
      case 7 -> release(server);
      case 8 -> forgetCheckpoint(server);
      default -> refuse(server);
    }
  }

  /// Sends changes of ranges that do not overlap to each disk.
  Map<String, Map<Change, CompletableFuture<Void>>> submit(ModelServer server) {
    Map<String, Map<Change, CompletableFuture<Void>>> requests = new LinkedHashMap<>();
    for (String disk : DISKS) {
      Map<Change, CompletableFuture<Void>> ofDisk = new LinkedHashMap<>();
      int[] cuts = random.ints(random.nextInt(1, 9), 0, DISK_BYTES).sorted().distinct().toArray();
      for (int i = 0; i < cuts.length; i++) {
        int room = (i + 1 < cuts.length ? cuts[i + 1] : DISK_BYTES) - cuts[i];
        ModelDisk.Kind kind = KINDS.get(random.nextInt(KINDS.size()));
        int length = random.nextInt(1, Math.min(room, 70_000) + 1);
        Change change = new Change(kind, cuts[i], length, random.nextInt(256));
        ofDisk.put(change, server.submit(disk, change));
      }
      requests.put(disk, ofDisk);
      say(disk + " " + ofDisk.keySet());
    }
    return requests;
  }

  // Waits; returns what changed each disk.
  private Map<String, List<Change>> finish(
      Map<String, Map<Change, CompletableFuture<Void>>> requests, boolean known) {
    Map<String, List<Change>> changes = new LinkedHashMap<>();
    requests.forEach(
        (disk, ofDisk) -> {
          List<Change> done = ModelServer.acknowledged(ofDisk);
          assertEquals(ofDisk.size(), done.size(), () -> "refused by " + disk + ": " + ofDisk);
          if (!known) {
            done.forEach(change -> disk(disk).changed(change));
          }
          changes.put(disk, done);
        });
    return changes;
  }

  List<ModelEdit> pickEdits() {
    Map<String, ModelDisk> scratch = copyOfDisks();
    List<ModelEdit> edits = new ArrayList<>();
    for (int i = random.nextInt(1, 4); i > 0; i--) {
      ModelDisk disk =
          Optional.ofNullable(scratch.get(DISKS.get(random.nextInt(DISKS.size())))).orElseThrow();
      number++;
      ModelEdit edit = ModelEdit.pick(random, disk, number);
      edit.applyTo(scratch);
      edits.add(edit);
    }
    return edits;
  }

  private void edit(ModelServer server) throws IOException {
    List<ModelEdit> edits = pickEdits();
    ObjectNode request = ModelEdit.request(edits);
    say(request.toString());
    JsonNode _ =
        server
            .control()
            .execute(request.path("execute").asString(), (ObjectNode) request.path("arguments"));
    edits.forEach(edit -> edit.applyTo(disks));
  }

  /// What a snapshot could be taken since.
  List<String> standingCheckpoints() {
    return disk(DISKS.getFirst()).select(b -> b.isCheckpoint() && b.pendingFor.isEmpty()).stream()
        .map(b -> b.name)
        .toList();
  }

  private void snapshot(ModelServer server) throws IOException {
    if (live.size() == SNAPSHOTS_MAX) {
      release(server);
      return;
    }
    number++;
    String name = "s" + number;
    ObjectNode arguments = ModelServer.arguments(name, DISKS);
    Optional<String> checkpoint = Optional.empty();
    if (standingCheckpoints().size() < CHECKPOINTS_MAX && random.nextInt(4) > 0) {
      checkpoint = Optional.of("c" + number);
      arguments.put("checkpoint", "c" + number);
    }
    List<String> bases = standingCheckpoints();
    Optional<String> since = Optional.empty();
    if (!bases.isEmpty() && random.nextInt(4) > 0) {
      since = Optional.of(bases.get(random.nextInt(bases.size())));
      arguments.put("since", since.get()).put("bitmap-name", ModelServer.exportedAs());
    }
    Map<String, ModelDisk> before = copyOfDisks();
    // The freeze falls into the middle of these.
    Map<String, Map<Change, CompletableFuture<Void>>> requests =
        random.nextBoolean() ? submit(server) : Map.of();
    say("fleecing-start " + arguments);
    JsonNode _ = server.control().execute("fleecing-start", arguments);
    Map<String, List<Change>> changes = finish(requests, false);
    Map<String, byte[]> frozen = new LinkedHashMap<>();
    for (String disk : DISKS) {
      ModelDisk then = Optional.ofNullable(before.get(disk)).orElseThrow();
      List<Change> meanwhile = changes.getOrDefault(disk, List.of());
      frozen.put(disk, readFrozen(server, name, then, meanwhile, since));
      if (checkpoint.isPresent()) {
        begin(disk(disk), checkpoint.get(), name, frozen.get(disk), meanwhile);
      }
    }
    live.add(new Live(name, frozen, checkpoint));
  }

  private byte[] readFrozen(
      ModelServer server,
      String snapshot,
      ModelDisk then,
      List<Change> meanwhile,
      Optional<String> since)
      throws IOException {
    try (NbdClient backup = server.backup(then.name, snapshot)) {
      byte[] frozen = Images.read(backup, 0, DISK_BYTES);
      meanwhile.forEach(change -> CrashCheck.take(then.content, frozen, change));
      assertArrayEquals(then.content, frozen, () -> snapshot + " of " + then.name);
      if (since.isPresent()) {
        ModelBitmap base = then.bitmap(since.get());
        BitSet found = DirtyMap.read(backup, ModelServer.context()).granules(base.granularityBytes);
        meanwhile.forEach(change -> then.perhapsMarked(change, b -> b == base));
        assertEquals(Optional.empty(), base.settle(found), () -> snapshot + " of " + then.name);
        CrashCheck.assertLeadsFrom(base, found, frozen);
      }
      return frozen;
    }
  }

  // A checkpoint that began while these were in flight: what its view does not show, it must mark.
  private static void begin(
      ModelDisk disk, String name, String snapshot, byte[] frozen, List<Change> meanwhile) {
    ModelBitmap checkpoint = new ModelBitmap(name, 65536, true, true, Optional.of(frozen));
    checkpoint.pendingFor = Optional.of(snapshot);
    for (Change change : meanwhile) {
      checkpoint.maybe.or(checkpoint.granules(change.offsetBytes(), change.lengthBytes()));
    }
    for (int i = Arrays.mismatch(frozen, disk.content); i >= 0 && i < DISK_BYTES; i++) {
      if (frozen[i] != disk.content[i]) {
        checkpoint.dirty.set(i / checkpoint.granularityBytes);
      }
    }
    disk.bitmaps.put(name, checkpoint);
  }

  private void release(ModelServer server) throws IOException {
    if (live.isEmpty()) {
      return;
    }
    Live snapshot = live.remove(random.nextInt(live.size()));
    for (String disk : DISKS) {
      try (NbdClient backup = server.backup(disk, snapshot.name())) {
        assertArrayEquals(
            snapshot.frozen().get(disk),
            Images.read(backup, 0, DISK_BYTES),
            () -> snapshot.name() + " of " + disk + " at its end");
      }
    }
    boolean success = random.nextInt(3) > 0;
    JsonNode _ = server.control().execute("fleecing-stop", stopArguments(snapshot, success));
    released(disks, snapshot.checkpoint(), success);
  }

  private ObjectNode stopArguments(Live snapshot, boolean success) {
    ObjectNode arguments = ControlSocket.object().put("name", snapshot.name());
    if (snapshot.checkpoint().isPresent()) {
      arguments.put("success", success);
    }
    say("fleecing-stop " + arguments);
    return arguments;
  }

  private static void released(
      Map<String, ModelDisk> model, Optional<String> checkpoint, boolean success) {
    for (ModelDisk disk : model.values()) {
      checkpoint.ifPresent(
          name -> {
            disk.bitmap(name).pendingFor = Optional.empty();
            if (!success) {
              disk.bitmaps.remove(name);
            }
          });
    }
  }

  /// A release that has been sent, and the model of it having happened. Nothing without a snapshot.
  Optional<CrashMoment.Sent> pickRelease() {
    if (live.isEmpty()) {
      return Optional.empty();
    }
    Live snapshot = live.getFirst();
    boolean success = random.nextBoolean();
    ObjectNode request = ModelServer.request("fleecing-stop", stopArguments(snapshot, success));
    return Optional.of(
        new CrashMoment.Sent(
            request, List.of(), model -> released(model, snapshot.checkpoint(), success)));
  }

  /// A snapshot with a checkpoint that nobody will release.
  CrashMoment.Sent pickSnapshot() {
    number++;
    ObjectNode arguments =
        ModelServer.arguments("s" + number, DISKS).put("checkpoint", "c" + number);
    return new CrashMoment.Sent(
        ModelServer.request("fleecing-start", arguments), List.of(), _ -> {});
  }

  /// The deletion of a checkpoint. Nothing without one.
  Optional<CrashMoment.Sent> pickDeletion() {
    List<String> names = standingCheckpoints();
    if (names.isEmpty()) {
      return Optional.empty();
    }
    String name = names.get(random.nextInt(names.size()));
    return Optional.of(
        new CrashMoment.Sent(
            ModelServer.request(
                "x-nbdfleece-checkpoint-delete", ControlSocket.object().put("name", name)),
            List.of(),
            model -> model.values().forEach(disk -> disk.bitmaps.remove(name))));
  }

  private void forgetCheckpoint(ModelServer server) throws IOException {
    Optional<CrashMoment.Sent> deletion = pickDeletion();
    if (deletion.isPresent() && standingCheckpoints().size() > 1) {
      ObjectNode request = deletion.get().request();
      say(request.toString());
      JsonNode _ =
          server
              .control()
              .execute(request.path("execute").asString(), (ObjectNode) request.path("arguments"));
      deletion.get().effect().accept(disks);
    }
  }

  // What must not succeed, and must not change anything.
  private void refuse(ModelServer server) throws IOException {
    List<ModelEdit> edits = pickEdits();
    ObjectNode arguments = ControlSocket.object();
    edits.forEach(edit -> arguments.withArray("actions").add(edit.action()));
    ObjectNode abort = ControlSocket.object().put("type", "abort");
    ObjectNode _ = abort.putObject("data");
    arguments.withArray("actions").insert(random.nextInt(edits.size() + 1), abort);
    assertRefused(server, "transaction", arguments);
    Optional<Live> pending =
        live.stream().filter(snapshot -> snapshot.checkpoint().isPresent()).findFirst();
    if (pending.isPresent()) {
      String checkpoint = pending.get().checkpoint().orElseThrow();
      assertRefused(
          server, "fleecing-stop", ControlSocket.object().put("name", pending.get().name()));
      assertRefused(
          server, "x-nbdfleece-checkpoint-delete", ControlSocket.object().put("name", checkpoint));
      assertRefused(
          server,
          "fleecing-start",
          ModelServer.arguments("refused", DISKS).put("since", checkpoint));
    }
    disks = CrashCheck.settle(server, List.of(disks), Map.of());
  }

  private void assertRefused(ModelServer server, String command, ObjectNode arguments) {
    say("refused: " + command + " " + arguments);
    IOException _ =
        assertThrows(
            IOException.class,
            () -> server.control().execute(command, arguments),
            () -> command + " " + arguments);
  }
}
