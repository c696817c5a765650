// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Version;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/// QEMU's `VersionInfo`. Clients choose by its numbers what they may ask for, so they are those of
/// the QEMU whose commands are spoken here; our own name and version stand in `package`.
final class VersionJson {
  static final QmpType.Struct TYPE =
      new QmpType.Struct(
          "VersionInfo",
          List.of(
              Member.of(
                  "qemu",
                  new QmpType.Struct(
                      "VersionTriple",
                      List.of(
                          Member.of("major", INT64),
                          Member.of("minor", INT64),
                          Member.of("micro", INT64)))),
              Member.of("package", STRING)));

  private static final int QEMU_MAJOR = 10;

  private VersionJson() {}

  static ObjectNode of() {
    ObjectNode version = Json.object();
    ObjectNode _ =
        version.putObject("qemu").put("major", QEMU_MAJOR).put("minor", 0).put("micro", 0);
    return version.put("package", "nbdfleece-" + Version.text());
  }
}
