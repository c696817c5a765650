// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// Makes marks survive a power failure: a coarse region of the disk is recorded, forced, before the
/// first write into it. Any thread.
public interface DurableMarks {

  /// For bitmaps that end with the process.
  DurableMarks NONE =
      new DurableMarks() {
        @Override
        public boolean covers(long offsetBytes, long lengthBytes) {
          return true;
        }

        @Override
        public void whenCovered(long offsetBytes, long lengthBytes, Runnable then) {
          then.run();
        }
      };

  /// Whether a write of the range may go ahead at once. To be asked after its bits are set. Takes
  /// no lock.
  boolean covers(long offsetBytes, long lengthBytes);

  /// Records the regions of the range, then runs `then`, on another thread or this one. It runs
  /// also when recording failed: then the guest's write matters more, and the bitmaps have been
  /// marked as not outliving the process.
  void whenCovered(long offsetBytes, long lengthBytes, Runnable then);
}
