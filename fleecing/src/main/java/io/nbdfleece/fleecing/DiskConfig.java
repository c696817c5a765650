// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// A disk to serve.
///
/// @param name export name: 1 to 255 characters, no `@`, no `/`, no control character
/// @param location where its content is: the path of a raw file or block device, or the NBD URI of
///   an export of another server
public record DiskConfig(String name, String location, Access access) {

  public DiskConfig {
    ExportNames.check("disk name", name);
  }

  /// What guests may do.
  public enum Access {
    READ_WRITE,
    READ_ONLY
  }
}
