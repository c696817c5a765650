// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.EnumSet;
import java.util.Random;
import java.util.Set;

/// What goes wrong in a simulation.
public enum Fault {
  /// A read of the disk fails, half done; the next one may not.
  DISK_READ,
  /// A sector of the disk cannot be read until it is overwritten.
  DISK_BAD_SECTOR,
  /// A change of the disk fails, half done.
  DISK_WRITE,
  /// Where the holes of the disk are cannot be told.
  DISK_STATUS,
  /// Disk and scratch file need 50 times as long, now and then.
  SLOW,
  /// Snapshots have a deadline for copies that is about as long as a copy takes.
  DEADLINE,
  /// Snapshots have limits of what is preserved for them.
  QUOTA,
  /// The disk tier is small, or there is none.
  SCRATCH_SMALL,
  /// The file system of the scratch file has no room, for a while.
  SCRATCH_NO_SPACE,
  /// A write of the scratch file fails, half done.
  SCRATCH_WRITE,
  /// A read of the scratch file fails, half done; the next one may not.
  SCRATCH_READ,
  /// A cluster of the scratch file cannot be read until it is overwritten.
  SCRATCH_BAD_SPOT,
  /// Bits of the scratch file flip: as they are written, and at rest.
  SCRATCH_FLIP,
  /// Holes cannot be punched into the scratch file.
  SCRATCH_PUNCH,
  /// The device of the scratch file fails for good.
  SCRATCH_GONE,
  /// A sync of the disk fails, half done; the next one may not.
  DISK_SYNC,
  /// The disk needs longer than a drain waits, now and then.
  DISK_HANG,
  /// A call on the state directory fails; the next one may not.
  STATE_CALL;

  /// What can go wrong below a hook.
  static final Set<Fault> OF_HOOK = EnumSet.range(DISK_READ, DISK_SYNC);

  /// What can go wrong below an engine.
  public static final Set<Fault> OF_ENGINE = EnumSet.allOf(Fault.class);

  /// Faults by which a cluster cannot be preserved.
  public static final Set<Fault> OF_PRESERVING =
      Set.of(DEADLINE, QUOTA, SCRATCH_SMALL, SCRATCH_NO_SPACE, SCRATCH_WRITE, SCRATCH_GONE);

  /// Faults by which a cluster can be lost, or a guest's write be refused that would lose it.
  public static final Set<Fault> OF_READING =
      Set.of(
          DISK_READ, DISK_BAD_SECTOR, SCRATCH_READ, SCRATCH_BAD_SPOT, SCRATCH_FLIP, SCRATCH_GONE);

  /// None in four of ten cases, else each with the same chance.
  static Set<Fault> some(Random random, Set<Fault> candidates) {
    Set<Fault> some = EnumSet.noneOf(Fault.class);
    if (random.nextInt(10) < 6) {
      for (Fault fault : candidates) {
        if (random.nextInt(10) < 3) {
          some.add(fault);
        }
      }
    }
    return some;
  }

  public static boolean any(Set<Fault> of, Set<Fault> faults) {
    return of.stream().anyMatch(faults::contains);
  }
}
