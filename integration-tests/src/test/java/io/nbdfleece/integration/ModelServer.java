// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.integration.ModelDisk.Change;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A process of the packaged program with a state directory, as the model test uses it: a guest on
/// each disk, a control socket, and questions.
final class ModelServer implements AutoCloseable {
  private static final String CHECK = "check";
  private static final String EXPORTED_AS = "changes";

  private final PackagedServer server;
  private final ControlSocket control;
  private final Map<String, NbdClient> guests = new LinkedHashMap<>();

  private ModelServer(PackagedServer server, ControlSocket control) {
    this.server = server;
    this.control = control;
  }

  /// Starts it. A class archive beside the disks makes all starts but the first quick.
  static ModelServer start(Path directory, Collection<String> disks) throws IOException {
    PackagedServer.Setup setup =
        PackagedServer.in(directory)
            .jvm(
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-XX:+AutoCreateSharedArchive",
                "-XX:SharedArchiveFile=" + directory.resolveSibling("serve.jsa"),
                "-Xlog:disable");
    for (String disk : disks) {
      setup = setup.disk(disk, directory.resolve(disk + ".img"));
    }
    PackagedServer server =
        setup.with("--state", directory.resolve("state").toString(), "--ram", "4M").start();
    ModelServer model = new ModelServer(server, server.control());
    for (String disk : disks) {
      model.guests.put(disk, server.connect(disk));
    }
    return model;
  }

  ControlSocket control() {
    return control;
  }

  NbdClient guest(String disk) {
    return Optional.ofNullable(guests.get(disk)).orElseThrow();
  }

  /// Sends a request of the guest and does not wait.
  CompletableFuture<Void> submit(String disk, Change change) {
    NbdClient guest = guest(disk);
    return switch (change.kind()) {
      case WRITE ->
          guest.write(
              change.offsetBytes(),
              Images.filled(change.lengthBytes(), change.value()),
              Export.Durability.CACHED);
      case ZERO ->
          guest.writeZeroes(
              change.offsetBytes(),
              change.lengthBytes(),
              Export.Zeroing.MAY_PUNCH,
              Export.Durability.CACHED);
      case TRIM -> guest.trim(change.offsetBytes(), change.lengthBytes());
    };
  }

  /// What the server lists of a disk's bitmaps, stretches of checkpoints included.
  List<JsonNode> bitmaps(String disk) throws IOException {
    for (JsonNode node : control.execute("query-named-block-nodes", ControlSocket.object())) {
      if (node.path("node-name").asString().equals(disk)) {
        return node.path("dirty-bitmaps").values().stream().toList();
      }
    }
    throw new AssertionError("no node " + disk);
  }

  /// What is dirty since a checkpoint or in a bitmap: by a snapshot and its export.
  BitSet dirty(String disk, ModelBitmap since) throws IOException {
    ObjectNode arguments = arguments(CHECK, List.of(disk));
    arguments.put("since", since.name).put("bitmap-name", EXPORTED_AS);
    JsonNode _ = control.execute("fleecing-start", arguments);
    try (NbdClient backup = backup(disk, CHECK)) {
      return DirtyMap.read(backup, context()).granules(since.granularityBytes);
    } finally {
      JsonNode _ = control.execute("fleecing-stop", ControlSocket.object().put("name", CHECK));
    }
  }

  static ObjectNode arguments(String snapshot, Collection<String> disks) {
    ObjectNode arguments = ControlSocket.object().put("name", snapshot);
    ArrayNode names = arguments.putArray("disks");
    disks.forEach(names::add);
    return arguments;
  }

  static ObjectNode request(String command, ObjectNode arguments) {
    ObjectNode request = ControlSocket.object().put("execute", command);
    request.set("arguments", arguments);
    return request;
  }

  /// The name of what [#backup] reads is dirty.
  static String exportedAs() {
    return EXPORTED_AS;
  }

  static String context() {
    return "qemu:dirty-bitmap:" + EXPORTED_AS;
  }

  /// A client of a disk's frozen view, with the bitmap's context if there is one.
  NbdClient backup(String disk, String snapshot) throws IOException {
    return NbdClient.connect(
        new NbdUri.Unix(server.socket(), disk + "@" + snapshot),
        List.of("base:allocation", context()));
  }

  /// SIGKILL: what is in flight fails.
  void kill() {
    server.kill();
    guests.values().forEach(NbdClient::abort);
  }

  /// The reply to what was sent before [#kill], if it came.
  Optional<JsonNode> replyBeforeTheEnd() {
    try {
      Optional<JsonNode> message = control.receiveOrEnd();
      while (message.isPresent() && message.get().has("event")) {
        message = control.receiveOrEnd();
      }
      return message;
    } catch (IOException _) {
      return Optional.empty();
    }
  }

  /// All requests that were answered well; waits until each has an answer or has failed.
  static List<Change> acknowledged(Map<Change, CompletableFuture<Void>> requests) {
    List<Change> acknowledged = new ArrayList<>();
    requests.forEach(
        (change, answer) -> {
          if (answer.handle((_, failure) -> failure == null).join()) {
            acknowledged.add(change);
          }
        });
    return acknowledged;
  }

  String log() throws IOException {
    return server.log();
  }

  /// A clean stop.
  @Override
  public void close() throws IOException {
    control.close();
    guests.values().forEach(NbdClient::close);
    server.close();
  }
}
