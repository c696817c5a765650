// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

/// What happened on a disk since it was added.
///
/// @param writes guest writes, trims and zeroings completed
/// @param writeErrors of these, failed
/// @param preserves clusters preserved
/// @param preservingWrites guest writes that had to preserve first
/// @param preserveNanosTotal time that guest writes spent on preserving, in ns
/// @param preserveNanosMax the longest of them, in ns
/// @param clients connections that have the disk open
public record DiskStatistics(
    long writes,
    long writeErrors,
    long preserves,
    long preservingWrites,
    long preserveNanosTotal,
    long preserveNanosMax,
    int clients) {}
