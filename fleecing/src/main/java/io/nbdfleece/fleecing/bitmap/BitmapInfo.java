// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// A bitmap as front ends show it; the fields are QEMU's `BlockDirtyInfo`.
///
/// @param dirtyBytes dirty granules times granularity
/// @param recording whether guest writes are marked in it now
/// @param busy frozen: a snapshot, an export or a checkpoint uses it; it cannot be removed,
///   cleared, enabled, disabled or merged into
/// @param persistent kept over a restart
/// @param inconsistent what it holds is not known; it can only be removed
/// @param checkpoint whether it is the stretch of a checkpoint rather than somebody's bitmap
public record BitmapInfo(
    String name,
    int granularityBytes,
    long dirtyBytes,
    boolean recording,
    boolean busy,
    boolean persistent,
    boolean inconsistent,
    boolean checkpoint) {}
