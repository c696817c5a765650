// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Version;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.fleecing.Disk;
import java.io.PrintStream;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What `serve --json` prints when clients can connect: one line.
final class ReadyJson implements ServeProcess.ReadyReport {
  private final PrintStream out;

  ReadyJson(PrintStream out) {
    this.out = out;
  }

  @Override
  public void ready(ControlTarget target, ServeOptions options, long scratchBytesMax) {
    ObjectNode line =
        Json.object()
            .put("message_type", "ready")
            .put("version", Version.text())
            .put("pid", ProcessHandle.current().pid())
            .put("tls", TlsRequest.name(options.server().tls().mode()))
            .put("control_socket", options.control().path().toString())
            .put("ram_bytes_max", options.store().ramBytes())
            .put("scratch_directory", options.store().scratchDirectory().toString())
            .put("scratch_bytes_max", scratchBytesMax);
    options
        .store()
        .stateDirectory()
        .ifPresent(directory -> line.put("state_directory", directory.toString()));
    ArrayNode disks = line.putArray("disks");
    for (Disk disk : target.disks()) {
      ObjectNode json =
          disks
              .addObject()
              .put("name", disk.config().name())
              .put("path", disk.config().location())
              .put("size_bytes", disk.sizeBytes());
      ArrayNode uris = json.putArray("uris");
      target.uris(disk.config().name()).forEach(uris::add);
    }
    out.println(Json.line(line));
    out.flush();
  }
}
