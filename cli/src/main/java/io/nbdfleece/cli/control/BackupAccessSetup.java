// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.graph.BackupAccess;
import io.nbdfleece.fleecing.graph.BackupAccess.BitmapMode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `backup-access-setup`, Proxmox's: freezes devices for a backup program. Their views can be
/// exported by their `node-name`, with the bitmap that is named beside it. `timeout` is how long
/// the client waits, and not needed here: a freeze takes 10 seconds at most.
final class BackupAccessSetup implements QmpCommand {
  private static final QmpType.Struct DEVICE =
      new QmpType.Struct(
          "BackupAccessSourceDevice",
          List.of(
              Member.of("device", STRING),
              Member.optional(
                  "bitmap-mode",
                  new QmpType.Enumeration(
                      "BackupAccessSetupBitmapMode", WireName.all(BitmapMode.class)))));
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "BackupAccessSetupArguments",
          List.of(
              Member.of("target-id", STRING),
              Member.of("devices", new QmpType.ArrayOf(DEVICE)),
              Member.optional("timeout", UINT32)));
  private static final QmpType.Struct FROZEN =
      new QmpType.Struct(
          "BackupAccessInfo",
          List.of(
              Member.of("node-name", STRING),
              Member.of("device", STRING),
              Member.of("size", SIZE),
              Member.optional("bitmap-node-name", STRING),
              Member.optional("bitmap-name", STRING),
              Member.optional(
                  "bitmap-action",
                  new QmpType.Enumeration(
                      "PBSBitmapAction", WireName.all(BackupAccess.BitmapAction.class)))));

  @Override
  public String name() {
    return "backup-access-setup";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return new QmpType.ArrayOf(FROZEN);
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    QmpOptions options = QmpOptions.of(arguments, ARGUMENTS);
    String targetId = options.string("target-id");
    List<BackupAccess.Device> devices = new ArrayList<>();
    for (QmpOptions device : options.objects("devices")) {
      device.requireKnown(DEVICE);
      devices.add(new BackupAccess.Device(device.string("device"), mode(device)));
    }
    return GraphAnswer.of(() -> json(target.graph().setUpAccess(targetId, devices)));
  }

  private static BitmapMode mode(QmpOptions device) throws QmpException {
    Optional<String> text = device.choice("bitmap-mode", WireName.all(BitmapMode.class));
    return Arrays.stream(BitmapMode.values())
        .filter(mode -> text.equals(Optional.of(WireName.of(mode))))
        .findFirst()
        .orElse(BitmapMode.NONE);
  }

  private static ArrayNode json(List<BackupAccess.Frozen> frozen) {
    ArrayNode array = Json.array();
    for (BackupAccess.Frozen one : frozen) {
      ObjectNode json = array.addObject();
      json.put("node-name", one.nodeName());
      json.put("device", one.device());
      json.put("size", one.sizeBytes());
      one.bitmapName()
          .ifPresent(
              bitmap -> {
                json.put("bitmap-node-name", one.nodeName());
                json.put("bitmap-name", bitmap);
              });
      json.put("bitmap-action", WireName.of(one.action()));
    }
    return array;
  }
}
