// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// What is dirty on a disk, looked at piece by piece. Bits may be set meanwhile, but none is ever
/// cleared.
public interface DirtyBits {

  int granularityBytes();

  /// Where the first dirty byte at or after `offsetBytes` is; `endBytes` when there is none before
  /// it.
  long nextDirty(long offsetBytes, long endBytes);

  /// Where the first byte at or after `offsetBytes` is that is not dirty; `endBytes` when there is
  /// none before it.
  long nextClean(long offsetBytes, long endBytes);

  /// How far one should look in one go: what that costs grows with it.
  long lookBytesMax();
}
