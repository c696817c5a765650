// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// File systems that one program alone sees, in a mount namespace of its own: nothing of them is
/// left when it has ended, however that was.
final class PrivateMount {
  private PrivateMount() {}

  /// What runs a program that finds an empty tmpfs at `place`. Skips the test where the kernel lets
  /// us have no such namespace.
  ///
  /// @param size as mount(8) has it, e.g. `4m`
  static String[] tmpfs(Path place, String size) throws IOException {
    List<String> through = new ArrayList<>(List.of(Peer.UNSHARE.path(), "--mount"));
    if (!Peer.isRoot()) {
      through.add("--map-root-user");
    }
    through.addAll(
        List.of(
            "sh",
            "-c",
            "mount -t tmpfs -o size=\"$1\" none \"$0\" && shift && exec \"$@\"",
            place.toString(),
            size));
    String[] words = through.toArray(String[]::new);
    Command.Result trial = Command.run(Command.join(through, "true"));
    if (trial.exitCode() != 0) {
      Peer.absent("no tmpfs in a mount namespace: " + trial.err().strip());
    }
    return words;
  }
}
