// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.util.List;
import java.util.Optional;

/// Which disks a command is about.
final class DiskNames {
  private DiskNames() {}

  /// The one named, whether it is there or not, else all.
  static List<String> oneOrAll(Optional<String> named, ControlTarget target) {
    return named
        .map(List::of)
        .orElseGet(() -> target.disks().stream().map(disk -> disk.config().name()).toList());
  }
}
