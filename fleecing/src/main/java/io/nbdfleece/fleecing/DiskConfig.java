// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.nio.file.Path;

/// A disk to serve.
///
/// @param name export name: 1 to 255 characters, no `@`, no `/`, no control character
/// @param path a raw file or block device
public record DiskConfig(String name, Path path, Access access) {

  public DiskConfig {
    ExportNames.check("disk name", name);
  }

  /// What guests may do.
  public enum Access {
    READ_WRITE,
    READ_ONLY
  }
}
