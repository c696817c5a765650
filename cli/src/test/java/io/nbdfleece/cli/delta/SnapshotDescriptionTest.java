// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Instant;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class SnapshotDescriptionTest {
  private static final Instant FROZEN = Instant.parse("2026-11-21T03:12:44.5Z");
  private static final Instant C1 = Instant.parse("2026-11-20T03:00:00.000000001Z");
  private static final Instant C2 = Instant.parse("2026-11-21T03:12:44.499999999Z");

  @Test
  void aPlainSnapshotShowsItself() {
    assertEquals(
        Optional.of(
            new SnapshotDescription(
                "vda",
                FROZEN,
                Optional.empty(),
                new DeltaPoint("vda", "snapshot my nightly", FROZEN),
                false,
                true)),
        SnapshotDescription.of("snapshot my nightly of disk vda, frozen " + FROZEN));
  }

  @Test
  void aSnapshotMayBeCalledAsTheTextGoes() {
    String name = "a of disk vdb, frozen yesterday";
    assertEquals(
        Optional.of(new DeltaPoint("vda", "snapshot " + name, FROZEN)),
        SnapshotDescription.of("snapshot " + name + " of disk vda, frozen " + FROZEN)
            .map(SnapshotDescription::shows));
  }

  @Test
  void oneOfAChainTellsItsCheckpoints() {
    assertEquals(
        Optional.of(
            new SnapshotDescription(
                "vda",
                FROZEN,
                Optional.of(new DeltaPoint("vda", "checkpoint c (1)", C1)),
                new DeltaPoint("vda", "checkpoint c, 2", C2),
                true,
                false)),
        SnapshotDescription.of(
            "snapshot inc of disk vda, frozen "
                + FROZEN
                + (", since c (1) (" + C1 + "), starts c, 2 (" + C2 + "), zero outside")));
  }

  @Test
  void ofSomebodyElsesNothingIsBelieved() {
    assertEquals(Optional.empty(), SnapshotDescription.of(""));
    assertEquals(Optional.empty(), SnapshotDescription.of("a disk, frozen peas"));
    assertEquals(
        Optional.empty(), SnapshotDescription.of("snapshot s of disk d, frozen 2026-99-99Z"));
    assertEquals(
        Optional.empty(),
        SnapshotDescription.of("snapshot s of disk d, frozen " + FROZEN + ", since yesterday"));
  }
}
