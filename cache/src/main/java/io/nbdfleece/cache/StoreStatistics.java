// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

/// What the store holds and has done, all at one moment.
///
/// @param ramBytes bytes of RAM slots in use, entries and slots being filled
/// @param ramBytesMax the RAM budget
/// @param spillingBytes of `ramBytes`, on their way to disk
/// @param spareBytes of `ramBytes`, copies that can be dropped at no cost
/// @param diskBytes bytes in the disk tier
/// @param diskBytesMax the cap of the disk tier
/// @param entries entries held
/// @param preservedBytesTotal bytes committed since the start
/// @param spilledBytesTotal bytes written to the disk tier since the start
/// @param releasedBytesTotal bytes released since the start
/// @param slotWaitsTotal acquires that had to wait for a slot since the start
/// @param usedBytes of all tiers, taken by entries
/// @param capacityBytes what all tiers can take together; of the disk tier only what it has taken
///   already while it takes no more
/// @param problem why spilling does not work at the moment, or empty
public record StoreStatistics(
    long ramBytes,
    long ramBytesMax,
    long spillingBytes,
    long spareBytes,
    long diskBytes,
    long diskBytesMax,
    long entries,
    long preservedBytesTotal,
    long spilledBytesTotal,
    long releasedBytesTotal,
    long slotWaitsTotal,
    long usedBytes,
    long capacityBytes,
    String problem) {

  /// Of a store without spare copies that can take all that it may.
  public StoreStatistics(
      long ramBytes,
      long ramBytesMax,
      long spillingBytes,
      long diskBytes,
      long diskBytesMax,
      long entries,
      long preservedBytesTotal,
      long spilledBytesTotal,
      long releasedBytesTotal,
      long slotWaitsTotal,
      String problem) {
    this(
        ramBytes,
        ramBytesMax,
        spillingBytes,
        0,
        diskBytes,
        diskBytesMax,
        entries,
        preservedBytesTotal,
        spilledBytesTotal,
        releasedBytesTotal,
        slotWaitsTotal,
        ramBytes + diskBytes,
        ramBytesMax + diskBytesMax,
        problem);
  }
}
