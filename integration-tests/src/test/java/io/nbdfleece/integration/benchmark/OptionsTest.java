// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class OptionsTest {
  private static Options parse(String... arguments) {
    return Options.parse(List.of(arguments));
  }

  @Test
  void withoutArgumentsEverythingIsMeasured() {
    Options options = parse();
    assertTrue(options.workloads().isEmpty());
    assertTrue(options.peers().isEmpty());
    assertEquals(5, options.rounds());
    assertEquals(1024, options.sizeMib());
    assertEquals(Options.Cold.YES, options.cold());
    assertEquals("nbdfleece", options.builds().getFirst().title());
  }

  @Test
  void quickIsSmallerWhereverItStands() {
    Options options = parse("p1", "--rounds", "7", "--quick");
    assertEquals(7, options.rounds());
    assertEquals(512, options.sizeMib());
    assertEquals(Options.Cold.NO, options.cold());
  }

  @Test
  void workloadsAreNamedInAnyCase() {
    assertEquals(Set.of("p1", "p10"), parse("P1", "p10").workloads());
  }

  @Test
  void peersAreSeparatedByCommas() {
    assertEquals(
        List.of("qemu-nbd", "nbdkit file"), parse("--peers", "qemu-nbd, nbdkit file").peers());
  }

  @Test
  void aProgramHasANameADirectoryAndOptions() {
    Build build = parse("--program", "big=/src/tree --ram 1G -Xmx4g").builds().getFirst();
    assertEquals(
        new Build("big", Path.of("/src/tree"), List.of("--ram", "1G"), List.of("-Xmx4g")), build);
    assertEquals("nbdfleece big", build.title());
  }

  @Test
  void aProgramWithoutANameIsNamedByItsDirectory() {
    assertEquals("old", parse("--program", "/src/old").builds().getFirst().name());
  }

  @Test
  void installedPeersAreNotLookedForInARoot() {
    Options options = parse("--peers-root", "installed");
    assertTrue(options.installedPeers());
    assertTrue(options.peersRoot().isEmpty());
  }

  @Test
  void anUnknownOptionIsNamed() {
    assertEquals(
        "--fast: no such option, see --help",
        assertThrows(IllegalArgumentException.class, () -> parse("--fast", "x")).getMessage());
  }

  @Test
  void anOptionWithoutItsValueIsNamed() {
    assertEquals(
        "--rounds: give it a value, see --help",
        assertThrows(IllegalArgumentException.class, () -> parse("--rounds")).getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "many", "1.5", "12345678"})
  void roundsAreANumberOfAtLeastOne(String value) {
    assertEquals(
        "--rounds " + value + ": a number is needed, at least 1",
        assertThrows(IllegalArgumentException.class, () -> parse("--rounds", value)).getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "0.05", "soon", "1e3"})
  void secondsAreATenthAtLeast(String value) {
    assertEquals(
        "--seconds " + value + ": seconds are needed, at least 0.1",
        assertThrows(IllegalArgumentException.class, () -> parse("--seconds", value)).getMessage());
  }
}
