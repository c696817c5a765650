// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// A running server whose disk has that many bitmaps, all recording, for one turn. They are fresh
/// each time: the first write to each granule is the dear one. Works for nbdfleece and for QEMU,
/// whose commands are the same.
///
/// @param node name of the disk
record WithBitmaps(Subject disk, Path control, String node, int count, boolean persistent)
    implements Subject {
  static final int GRANULARITY_BYTES = 65536;

  @Override
  public String name() {
    return disk.name().replace(QemuDaemon.PROGRAM, "qsd")
        + ", "
        + count
        + " bitmaps"
        + (persistent ? ", kept" : "");
  }

  @Override
  public void begin() throws IOException {
    try (QmpClient client = QmpClient.connect(control)) {
      for (int i = 0; i < count; i++) {
        JsonNode _ =
            client.execute(
                "block-dirty-bitmap-add",
                Json.object()
                    .put("node", node)
                    .put("name", "bench" + i)
                    .put("granularity", GRANULARITY_BYTES)
                    .put("persistent", persistent));
      }
    }
  }

  @Override
  public String diskUri() {
    return disk.diskUri();
  }

  @Override
  public String pullUri() {
    return disk.pullUri();
  }

  @Override
  public void end() throws IOException {
    try (QmpClient client = QmpClient.connect(control)) {
      for (int i = 0; i < count; i++) {
        JsonNode _ =
            client.execute(
                "block-dirty-bitmap-remove",
                Json.object().put("node", node).put("name", "bench" + i));
      }
    }
  }

  @Override
  public void stop() {}

  @Override
  public Optional<Path> image() {
    return disk.image();
  }

  @Override
  public Daemon daemon() {
    return disk.daemon();
  }
}
