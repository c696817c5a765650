// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.util.Optional;

/// How much of a disk a snapshot is about.
///
/// @param dirty what its reader wants; absent = all
/// @param outside what reading elsewhere gives. Clusters that no wanted granule touches are not
///   preserved, unless it is DATA.
public record SnapshotScope(Optional<GranuleSet> dirty, Outside outside) {
  public static final SnapshotScope ALL = new SnapshotScope(Optional.empty(), Outside.DATA);
}
