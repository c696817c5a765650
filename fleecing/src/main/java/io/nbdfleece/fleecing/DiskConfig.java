// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// A disk to serve.
///
/// @param name export name: 1 to 255 characters, no `@`, no `/`, no control character
/// @param location where its content is: the path of a raw file or block device, or the NBD URI of
///   an export of another server
/// @param skipUnchanged whether a write that changes nothing is not marked in bitmaps: it is
///   compared with what the disk holds first, which costs a read
public record DiskConfig(
    String name, String location, Access access, Listing listing, boolean skipUnchanged) {

  public DiskConfig {
    ExportNames.check("disk name", name);
  }

  /// One whose writes are all marked.
  public DiskConfig(String name, String location, Access access, Listing listing) {
    this(name, location, access, listing, false);
  }

  /// An exported one.
  public DiskConfig(String name, String location, Access access) {
    this(name, location, access, Listing.EXPORTED);
  }

  /// Whether it is an export of its name.
  public boolean isExported() {
    return listing == Listing.EXPORTED;
  }

  /// The same with writes compared, or not.
  public DiskConfig withSkipUnchanged(boolean skip) {
    return new DiskConfig(name, location, access, listing, skip);
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
