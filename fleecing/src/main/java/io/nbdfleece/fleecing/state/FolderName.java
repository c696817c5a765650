// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.nio.charset.StandardCharsets;
import java.util.List;

/// The folder of a disk in the state directory: its name, with `%XX` for each byte that is not a
/// letter, a digit, or one of `-_.` behind the first. Different disks have different folders.
final class FolderName {
  /// A file system takes 255.
  private static final int LENGTH_MAX = 200;

  /// What begins so is, or may be, a file of the directory itself.
  private static final List<String> RESERVED = List.of("lock", JointCommit.NAME);

  private FolderName() {}

  static String of(String disk) {
    StringBuilder name = new StringBuilder();
    boolean reserved = RESERVED.stream().anyMatch(disk::startsWith);
    for (byte each : disk.getBytes(StandardCharsets.UTF_8)) {
      boolean plain =
          (each >= 'a' && each <= 'z')
              || (each >= 'A' && each <= 'Z')
              || (each >= '0' && each <= '9')
              || each == '_'
              || (name.length() > 0 && (each == '-' || each == '.'));
      if (plain && !reserved) {
        name.append((char) each);
      } else {
        name.append(String.format("%%%02X", each));
      }
    }
    if (name.length() == 0) {
      return "%";
    }
    if (name.length() <= LENGTH_MAX) {
      return name.toString();
    }
    // "%%" begins no other name. The list inside says whose it is.
    ContentHeader.IdentityHash hash = ContentHeader.hash(disk);
    return String.format("%%%%%016x%016x", hash.first(), hash.second());
  }
}
