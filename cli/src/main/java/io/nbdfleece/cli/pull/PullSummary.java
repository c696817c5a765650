// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;

/// What a pull did.
///
/// @param label what was pulled
/// @param totalBytes size of the export
/// @param dataBytes read from the server
/// @param resumedBytes there from an earlier pull; the rest was known to be zero
/// @param unchangedBytes not in the delta; 0 for a copy of all
/// @param nanos how long it took, making it durable included
public record PullSummary(
    String label,
    String file,
    long totalBytes,
    long dataBytes,
    long resumedBytes,
    long nanos,
    int connections,
    long unchangedBytes) {

  /// Bytes of the export that were known to be zero and not read.
  public long zeroBytes() {
    return totalBytes - dataBytes - resumedBytes - unchangedBytes;
  }

  /// `10.0 GiB (3.1 GiB data, 6.9 GiB zero) in 4.0 s, 794 MiB/s`.
  @Override
  public String toString() {
    return (unchangedBytes == 0
            ? ByteSize.format(totalBytes)
            : ByteSize.format(totalBytes - unchangedBytes)
                + " changed of "
                + ByteSize.format(totalBytes))
        + " ("
        + ByteSize.format(dataBytes)
        + " data, "
        + ByteSize.format(zeroBytes())
        + " zero"
        + (resumedBytes == 0 ? "" : ", " + ByteSize.format(resumedBytes) + " from before")
        + ") in "
        + Durations.format(nanos)
        + ", "
        + ByteSize.formatRate(dataBytes * 1e9 / Math.max(1, nanos));
  }
}
