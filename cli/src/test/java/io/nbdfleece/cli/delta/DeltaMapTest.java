// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DeltaMapTest {
  private static final DeltaSource SOURCE =
      new DeltaSource(
          1 << 20,
          "c1",
          "/run/nbd.sock",
          "vda@inc1",
          "snapshot inc1 of disk vda, frozen 2026-11-21T03:12:44.5Z",
          Instant.parse("2026-11-21T03:13:00Z"));
  private static final DeltaMap MAP =
      new DeltaMap(
          SOURCE,
          List.of(
              new DeltaExtent(0, 65536, OptionalInt.of(-2)),
              new DeltaExtent(131072, 65536, OptionalInt.empty())));

  @TempDir Path directory = Path.of("");

  @Test
  void whatWasWrittenIsRead() throws IOException {
    Path path = directory.resolve("d.map");
    MAP.write(path);
    assertEquals(MAP, DeltaMap.read(path));
    assertEquals(4, Files.readAllLines(path).size());
    assertTrue(Files.readString(path).contains("\"crc32c\":\"fffffffe\""));
  }

  @Test
  void everyTornOrChangedMapIsKnown() throws IOException {
    Path path = directory.resolve("d.map");
    MAP.write(path);
    byte[] whole = Files.readAllBytes(path);
    for (int length = 0; length < whole.length; length++) {
      Files.write(path, Arrays.copyOf(whole, length));
      assertThrows(CommandFailure.class, () -> DeltaMap.read(path), "cut at " + length);
    }
    for (int at = 0; at < whole.length; at++) {
      byte[] changed = whole.clone();
      changed[at] ^= 1;
      Files.write(path, changed);
      try {
        assertEquals(MAP, DeltaMap.read(path), "changed at " + at);
        // The sums in the last line are for people, and nobody relies on them.
        assertTrue(at > new String(whole, UTF_8).indexOf("{\"extents\""), "changed at " + at);
      } catch (CommandFailure e) {
        assertTrue(Messages.of(e).contains("d.map"), Messages.of(e));
      }
    }
  }

  @Test
  void aMapThatIsMissingIsNotFound() {
    CommandFailure failure =
        assertThrows(CommandFailure.class, () -> DeltaMap.read(directory.resolve("none.map")));
    assertEquals(ExitCode.NOT_FOUND, failure.code());
  }

  @Test
  void aSnapshotOfOursTellsDiskAndInstant() {
    assertEquals(Optional.of("vda"), SOURCE.disk());
    assertEquals(Optional.of(Instant.parse("2026-11-21T03:12:44.5Z")), SOURCE.frozen());
    DeltaSource other = new DeltaSource(1, "b", "s", "e", "a disk, frozen peas", Instant.EPOCH);
    assertEquals(Optional.empty(), other.disk());
    assertEquals(Optional.empty(), other.frozen());
  }
}
