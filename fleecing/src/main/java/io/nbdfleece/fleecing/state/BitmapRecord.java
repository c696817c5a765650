// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.time.Instant;
import java.util.Optional;

/// One persistent bitmap, or one checkpoint's stretch, as the state directory lists it. The order
/// of the records is the order of the checkpoints in their chain, oldest first.
///
/// @param content name of the file that holds it, inside of the disk's state
/// @param form how that file holds it
/// @param enabled whether it records
/// @param inconsistent what it holds is not known
/// @param checkpoint whether it is a checkpoint's stretch
/// @param pendingSnapshot for a checkpoint, the snapshot whose success it waits for
public record BitmapRecord(
    String name,
    int granularityBytes,
    String content,
    Form form,
    boolean enabled,
    boolean inconsistent,
    boolean checkpoint,
    Optional<String> pendingSnapshot,
    Instant created) {

  public enum Form {
    /// A plain bit array that is mapped and recorded into.
    LIVE,
    /// A compressed set with a checksum that does not change any more.
    SEALED
  }
}
