// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// A disk to serve.
///
/// @param name export name: 1 to 255 characters, no `@`, no `/`, no control character
/// @param location where its content is: the path of a raw file or block device, or the NBD URI of
///   an export of another server
public record DiskConfig(String name, String location, Access access, Listing listing) {

  public DiskConfig {
    ExportNames.check("disk name", name);
  }

  /// An exported one.
  public DiskConfig(String name, String location, Access access) {
    this(name, location, access, Listing.EXPORTED);
  }

  /// Who sees it.
  public enum Listing {
    /// It is an export of its name.
    EXPORTED,
    /// Only what names it: exports that are added for it, snapshots, bitmaps.
    NODE
  }

  /// What guests may do.
  public enum Access {
    READ_WRITE,
    READ_ONLY
  }
}
