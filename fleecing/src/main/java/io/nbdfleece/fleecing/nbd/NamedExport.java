// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.util.List;
import java.util.Optional;

/// An export that somebody added (QMP's `block-export-add`).
///
/// @param id unique among the exports
/// @param node what was asked for, as it is shown: the name of a disk or node
/// @param name what NBD clients open
/// @param bitmaps shown as `qemu:dirty-bitmap:NAME`; of the node, if that is a view, or of a disk
/// @param allocationDepth whether `qemu:allocation-depth` is shown
public record NamedExport(
    String id,
    String node,
    Source source,
    String name,
    boolean writable,
    Optional<String> description,
    List<BitmapRef> bitmaps,
    boolean allocationDepth) {

  public NamedExport {
    bitmaps = List.copyOf(bitmaps);
  }

  /// What is exported.
  public sealed interface Source {
    /// A disk, as it is.
    record LiveDisk(String disk) implements Source {}

    /// One disk of a snapshot.
    record FrozenDisk(String snapshot, String disk) implements Source {}
  }
}
