// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.ModelDisk.Change;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A kill in the middle of requests of the guest and, mostly, of a command: which models are
/// possible afterwards. A request that was answered has happened; one that was not may have.
final class CrashMoment {
  private final CrashRun run;
  private final Random random;
  private final Map<String, List<Change>> lost = new LinkedHashMap<>();

  /// A command on its way.
  ///
  /// @param unclear the bitmaps that may or may not mark a write that happens at the same time, as
  ///   `DISK/NAME`
  /// @param effect what it does to the model, once it has happened
  record Sent(ObjectNode request, List<String> unclear, Consumer<Map<String, ModelDisk>> effect) {}

  CrashMoment(CrashRun run, Random random) {
    this.run = run;
    this.random = random;
  }

  /// Kills the server within that time after requests have been sent, or once all have been
  /// answered.
  List<Map<String, ModelDisk>> crash(ModelServer server, long nanosMax) throws IOException {
    Optional<Sent> sent = pick();
    boolean commandFirst = random.nextBoolean();
    if (commandFirst) {
      send(server, sent);
    }
    Map<String, Map<Change, CompletableFuture<Void>>> requests = run.submit(server);
    if (!commandFirst) {
      send(server, sent);
    }
    if (random.nextInt(4) == 0) {
      requests.values().forEach(ModelServer::acknowledged);
    }
    LockSupport.parkNanos(random.nextLong(nanosMax));
    server.kill();
    Map<String, List<Change>> done = new LinkedHashMap<>();
    requests.forEach(
        (disk, ofDisk) -> {
          List<Change> acknowledged = ModelServer.acknowledged(ofDisk);
          done.put(disk, acknowledged);
          List<Change> others = new ArrayList<>(ofDisk.keySet());
          others.removeAll(acknowledged);
          lost.put(disk, others);
        });
    Optional<JsonNode> reply = sent.isPresent() ? server.replyBeforeTheEnd() : Optional.empty();
    reply.ifPresent(
        answer -> assertTrue(answer.has("return"), () -> "refused: " + sent + ": " + answer));
    run.say("killed; lost " + lost + (reply.isPresent() ? ", answered" : ""));
    List<Map<String, ModelDisk>> possible = new ArrayList<>();
    if (reply.isEmpty()) {
      possible.add(model(done, Optional.empty()));
    }
    if (sent.isPresent()) {
      possible.add(model(done, sent));
    }
    return possible;
  }

  /// The guest's requests that were not answered, by disk.
  Map<String, List<Change>> lost() {
    return lost;
  }

  private void send(ModelServer server, Optional<Sent> sent) throws IOException {
    if (sent.isPresent()) {
      run.say("sent " + sent.get().request());
      server.control().send(sent.get().request().toString());
    }
  }

  private Optional<Sent> pick() {
    return switch (random.nextInt(6)) {
      case 0 -> Optional.empty();
      case 1 -> run.pickRelease();
      case 2 -> Optional.of(run.pickSnapshot());
      case 3 -> run.pickDeletion();
      default -> {
        List<ModelEdit> edits = run.pickEdits();
        yield Optional.of(
            new Sent(
                ModelEdit.request(edits),
                edits.stream()
                    .filter(ModelEdit::unclear)
                    .map(edit -> edit.disk() + "/" + edit.bitmap())
                    .toList(),
                model -> edits.forEach(edit -> edit.applyTo(model))));
      }
    };
  }

  private Map<String, ModelDisk> model(Map<String, List<Change>> done, Optional<Sent> happened) {
    Map<String, ModelDisk> model = run.copyOfDisks();
    List<String> unclear = happened.map(Sent::unclear).orElse(List.of());
    happened.ifPresent(command -> command.effect().accept(model));
    model.forEach(
        (name, disk) -> {
          // What a clear or a merge left of these is known; what came at the same time is not.
          Map<String, ModelBitmap> kept = new LinkedHashMap<>();
          disk.bitmaps.forEach((bitmap, state) -> kept.put(bitmap, state.copy()));
          List<Change> changes = done.getOrDefault(name, List.of());
          changes.forEach(disk::changed);
          for (ModelBitmap bitmap : disk.select(b -> unclear.contains(name + "/" + b.name))) {
            ModelBitmap before = Optional.ofNullable(kept.get(bitmap.name)).orElseThrow();
            bitmap.dirty.clear();
            bitmap.dirty.or(before.dirty);
            changes.forEach(change -> disk.perhapsMarked(change, b -> b == bitmap));
          }
          for (Change change : lost.getOrDefault(name, List.of())) {
            disk.perhapsMarked(change, b -> b.recording || unclear.contains(name + "/" + b.name));
          }
        });
    return model;
  }
}
