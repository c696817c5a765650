// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

/// How far a pull has come.
///
/// @param label what is pulled, `vda@nightly`
/// @param doneBytes of the export, zeroes included
/// @param dataBytes read from the server
/// @param totalBytes size of the export
/// @param elapsedNanos since the start
/// @param doneBytesPerSecond lately, zeroes included; for the time left
/// @param dataBytesPerSecond lately
public record PullState(
    String label,
    long doneBytes,
    long dataBytes,
    long totalBytes,
    long elapsedNanos,
    double doneBytesPerSecond,
    double dataBytesPerSecond) {

  /// 0 to 1; an empty export is done.
  public double fraction() {
    return totalBytes == 0 ? 1 : doneBytes / (double) totalBytes;
  }

  /// 0 to 100, rounded down: 100 means done.
  public int percent() {
    return (int) (fraction() * 100);
  }

  /// Seconds left at the present rate, or -1 when nothing can be said.
  public long secondsLeft() {
    return doneBytesPerSecond < 1
        ? -1
        : (long) Math.ceil((totalBytes - doneBytes) / doneBytesPerSecond);
  }
}
