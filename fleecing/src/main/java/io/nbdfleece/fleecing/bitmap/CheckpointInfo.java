// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.time.Instant;
import java.util.Optional;

/// A checkpoint of one disk.
///
/// @param since the checkpoint before it in the chain
/// @param ownDirtyBytes written between this checkpoint and the next one (or now)
/// @param sinceDirtyBytes written from this checkpoint until now: what the next incremental from it
///   would copy
/// @param pendingSnapshot the snapshot whose success it waits for; until then nothing can be taken
///   since it
public record CheckpointInfo(
    String disk,
    String name,
    Instant created,
    Optional<String> since,
    int granularityBytes,
    long ownDirtyBytes,
    long sinceDirtyBytes,
    Optional<String> pendingSnapshot,
    boolean persistent,
    boolean inconsistent) {}
