// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(30)
final class QmpAccessTest {
  @TempDir Path directory = Path.of("");

  @Test
  void theUserWeRunAsMayUseTheSocket() throws IOException {
    Path path = directory.resolve("qmp.sock");
    try (QmpServer _ = QmpServer.start(path, new FakeTarget(), QmpLimits.defaults());
        RawClient client = RawClient.negotiated(path)) {
      assertTrue(client.ask("{'execute':'query-status'}").has("return"));
    }
  }

  @Test
  void anotherUserIsToldWhyAndDisconnected() throws IOException {
    Path path = directory.resolve("qmp.sock");
    UserPrincipal somebody =
        directory.getFileSystem().getUserPrincipalLookupService().lookupPrincipalByName("65533");
    QmpAccess access = new QmpAccess(Set.of(somebody), Optional.empty());
    try (QmpServer _ = QmpServer.start(path, new FakeTarget(), QmpLimits.defaults(), access);
        RawClient client = new RawClient(path)) {
      String reason = client.receive().path("error").path("desc").asString();
      assertTrue(reason.contains("may not use this socket"), reason);
      assertTrue(client.isAtEnd());
    }
  }

  @Test
  void membersOfTheGroupMayUseTheSocket() throws IOException {
    Path path = directory.resolve("qmp.sock");
    String group =
        Files.readAttributes(Path.of("/proc/self"), PosixFileAttributes.class).group().getName();
    try (QmpServer _ =
            QmpServer.start(path, new FakeTarget(), QmpLimits.defaults(), Optional.of(group));
        RawClient client = RawClient.negotiated(path)) {
      PosixFileAttributes file = Files.readAttributes(path, PosixFileAttributes.class);
      assertEquals(PosixFilePermissions.fromString("rw-rw----"), file.permissions());
      assertEquals(group, file.group().getName());
      assertTrue(client.ask("{'execute':'query-status'}").has("return"));
    }
  }

  @Test
  void aGroupThatDoesNotExistIsNamed() {
    IOException refused =
        assertThrows(IOException.class, () -> QmpAccess.of(Optional.of("no-such-group")));
    assertTrue(String.valueOf(refused.getMessage()).contains("no-such-group"));
  }
}
