// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Consumer;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A bitmap command, and what it does to the model.
///
/// @param unclear whether a write that happens at the same time may be marked or not
record ModelEdit(
    String command, ObjectNode data, String bitmap, boolean unclear, Consumer<ModelDisk> effect) {
  private static final int BITMAPS_MAX = 4;
  private static final List<Integer> GRANULARITIES = List.of(512, 4096, 65536, 1 << 20);

  /// One that must succeed on this disk as it is.
  ///
  /// @param number makes the name of a new bitmap a new one
  static ModelEdit pick(Random random, ModelDisk disk, int number) {
    List<ModelBitmap> bitmaps = disk.select(bitmap -> !bitmap.isCheckpoint());
    if (bitmaps.isEmpty() || (bitmaps.size() < BITMAPS_MAX && random.nextInt(3) == 0)) {
      return add(random, disk.name, "b" + number);
    }
    ModelBitmap one = bitmaps.get(random.nextInt(bitmaps.size()));
    ModelBitmap other = bitmaps.get(random.nextInt(bitmaps.size()));
    return switch (random.nextInt(6)) {
      case 0 -> simple("remove", disk.name, one.name, false, d -> forget(d, one.name));
      case 1 ->
          simple(
              "clear",
              disk.name,
              one.name,
              one.recording,
              d -> {
                d.bitmap(one.name).dirty.clear();
                d.bitmap(one.name).maybe.clear();
              });
      case 2 ->
          simple(
              "enable",
              disk.name,
              one.name,
              !one.recording,
              d -> d.bitmap(one.name).recording = true);
      case 3 ->
          simple(
              "disable",
              disk.name,
              one.name,
              one.recording,
              d -> d.bitmap(one.name).recording = false);
      default -> merge(disk.name, one.name, other.name);
    };
  }

  private static ModelEdit add(Random random, String disk, String name) {
    int granularityBytes = GRANULARITIES.get(random.nextInt(GRANULARITIES.size()));
    boolean persistent = random.nextInt(4) > 0;
    boolean disabled = random.nextInt(4) == 0;
    ObjectNode data =
        ControlSocket.object()
            .put("node", disk)
            .put("name", name)
            .put("granularity", granularityBytes)
            .put("persistent", persistent)
            .put("disabled", disabled);
    return new ModelEdit(
        "block-dirty-bitmap-add",
        data,
        name,
        !disabled,
        d ->
            d.bitmaps.put(
                name,
                new ModelBitmap(name, granularityBytes, persistent, !disabled, Optional.empty())));
  }

  private static ModelEdit merge(String disk, String target, String source) {
    ObjectNode data = ControlSocket.object().put("node", disk).put("target", target);
    ArrayNode _ = data.putArray("bitmaps").add(source);
    return new ModelEdit(
        "block-dirty-bitmap-merge",
        data,
        target,
        true,
        d -> d.bitmap(target).merge(d.bitmap(source), d.content.length));
  }

  private static ModelEdit simple(
      String verb, String disk, String name, boolean unclear, Consumer<ModelDisk> effect) {
    return new ModelEdit(
        "block-dirty-bitmap-" + verb,
        ControlSocket.object().put("node", disk).put("name", name),
        name,
        unclear,
        effect);
  }

  private static void forget(ModelDisk disk, String name) {
    ModelBitmap removed = disk.bitmaps.remove(name);
    if (removed == null) {
      throw new IllegalStateException("no bitmap " + name);
    }
  }

  String disk() {
    return data.path("node").asString();
  }

  void applyTo(Map<String, ModelDisk> disks) {
    ModelDisk disk = disks.get(disk());
    if (disk == null) {
      throw new IllegalStateException("no disk " + disk());
    }
    effect.accept(disk);
  }

  /// One action of a transaction.
  ObjectNode action() {
    ObjectNode action = ControlSocket.object().put("type", command);
    action.set("data", data);
    return action;
  }

  /// The whole command: the plain one for one edit, else a transaction.
  static ObjectNode request(List<ModelEdit> edits) {
    ObjectNode request = ControlSocket.object();
    if (edits.size() == 1) {
      request.put("execute", edits.getFirst().command());
      request.set("arguments", edits.getFirst().data());
      return request;
    }
    request.put("execute", "transaction");
    ArrayNode actions = request.putObject("arguments").putArray("actions");
    edits.forEach(edit -> actions.add(edit.action()));
    return request;
  }

  @Override
  public String toString() {
    return command + data;
  }
}
