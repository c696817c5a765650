// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.io.IOException;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/// `x-nbdfleece-release`: ends the snapshot `name` on all its disks and frees its copies. Answers
/// with its last status.
final class ReleaseSnapshot implements QmpCommand {
  @Override
  public String name() {
    return "x-nbdfleece-release";
  }

  @Override
  public Set<String> argumentNames() {
    return Set.of("name");
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    return SnapshotJson.of(target.release(arguments.string("name")), target);
  }
}
