// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Version;
import tools.jackson.databind.node.ObjectNode;

/// QEMU's `VersionInfo`. The version stands where clients look for QEMU's, with our name in
/// `package`.
final class VersionJson {
  private VersionJson() {}

  static ObjectNode of() {
    ObjectNode version = Json.object();
    version
        .putObject("qemu")
        .put("major", Version.number(0))
        .put("minor", Version.number(1))
        .put("micro", Version.number(2));
    return version.put("package", "nbdfleece " + Version.text());
  }
}
