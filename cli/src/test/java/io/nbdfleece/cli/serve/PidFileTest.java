// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PidFileTest {
  @TempDir Path directory = Path.of("");

  @Test
  void aDirectoryThatIsNotThereIsToldOfTheOption() {
    Path path = directory.resolve("none/pid");
    CommandFailure failure = assertThrows(CommandFailure.class, () -> PidFile.write(path));
    assertEquals(ExitCode.NOT_FOUND, failure.code());
    assertEquals(
        "--pidfile " + path + ": no such directory: create it, or name another FILE",
        failure.getMessage());
  }
}
