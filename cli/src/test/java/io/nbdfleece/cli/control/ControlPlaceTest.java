// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ControlPlaceTest {
  private static final Map<String, String> RUNTIME = Map.of("XDG_RUNTIME_DIR", "/run/user/7");

  @Test
  void theOptionComesFirstThenTheVariable() {
    Map<String, String> both = Map.of("XDG_RUNTIME_DIR", "/run/user/7", "NBDFLEECE_QMP", "/q");
    assertEquals(
        new ControlPlace(Path.of("/o"), false),
        ControlPlace.of(Optional.of(Path.of("/o")), both, 7));
    assertEquals(
        new ControlPlace(Path.of("/q"), false), ControlPlace.of(Optional.empty(), both, 7));
  }

  @Test
  void theDefaultIsTheUsersRuntimeDirectory() {
    assertEquals(
        new ControlPlace(Path.of("/run/user/7/nbdfleece/qmp.sock"), true),
        ControlPlace.of(Optional.empty(), RUNTIME, 7));
  }

  @Test
  void withoutOneItIsRunForRootAndTmpForOthers() {
    assertEquals(
        Path.of("/run/nbdfleece/qmp.sock"), ControlPlace.of(Optional.empty(), Map.of(), 0).path());
    assertEquals(
        Path.of("/tmp/nbdfleece-7/qmp.sock"),
        ControlPlace.of(Optional.empty(), Map.of(), 7).path());
  }

  @Test
  void theDefaultDirectoryIsPrivate(@TempDir Path runtime) throws Exception {
    ControlPlace place =
        ControlPlace.of(Optional.empty(), Map.of("XDG_RUNTIME_DIR", runtime.toString()));
    place.prepareDirectory();
    place.prepareDirectory();
    assertEquals(
        PosixFilePermissions.fromString("rwx------"),
        Files.getPosixFilePermissions(runtime.resolve("nbdfleece")));
  }

  @Test
  void aDirectoryThatTheUserNamedIsNotMade(@TempDir Path directory) throws Exception {
    Path named = directory.resolve("sub/qmp.sock");
    ControlPlace.of(Optional.of(named), Map.of()).prepareDirectory();
    assertFalse(Files.exists(directory.resolve("sub")));
  }
}
