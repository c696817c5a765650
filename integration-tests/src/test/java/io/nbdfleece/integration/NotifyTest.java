// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What the server tells a service manager (sd_notify(3)), whose part socat plays.
@Timeout(120)
final class NotifyTest {
  @TempDir private Path directory = Path.of("");
  private Path told = Path.of("");
  private Path image = Path.of("");
  private final List<Process> managers = new ArrayList<>();

  @BeforeEach
  void prepare() throws IOException {
    told = directory.resolve("told");
    image = Images.sparse(directory.resolve("vda.img"), 1 << 20);
  }

  @AfterEach
  void endManagers() {
    for (Process manager : managers) {
      manager.destroy();
      int _ = Command.await(manager, List.of("socat"));
    }
  }

  @Test
  void aServiceManagerHearsOfReadinessReloadAndEnd() throws IOException {
    String socket = directory.resolve("notify.sock").toString();
    listen("UNIX-RECV:" + socket, () -> Files.exists(Path.of(socket)));
    try (PackagedServer server = serve(socket)) {
      await("READY=1\nSTATUS=serving vda\n");
      // Again and again: it is asked to say that it lives each 0.1 s.
      await("WATCHDOG=1\nWATCHDOG=1\n");
      Command.Result _ = Command.run("kill", "-HUP", "" + server.pid()).succeeds();
      await("RELOADING=1\nMONOTONIC_USEC=[0-9]+\nREADY=1\n");
      assertTrue(server.isAlive());
    }
    await("READY=1\n.*STOPPING=1\n");
  }

  @Test
  void aServiceManagerMayListenOnAnAbstractName() throws IOException {
    String name = "nbdfleece-notify-" + ProcessHandle.current().pid();
    listen(
        "ABSTRACT-RECV:" + name,
        () -> Files.readString(Path.of("/proc/net/unix")).contains("@" + name));
    try (PackagedServer _ = serve("@" + name)) {
      await("READY=1\n");
    }
  }

  @Test
  void aServiceManagerThatIsGoneIsReportedOnce() throws IOException {
    listen("UNIX-RECV:" + directory.resolve("other.sock"), () -> true);
    String nobody = directory.resolve("nobody.sock").toString();
    try (PackagedServer server = serve(nobody)) {
      Awaitility.await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> server.log().contains("cannot be told"));
      assertEquals(2, server.log().split("cannot be told", -1).length, server.log());
    }
  }

  private PackagedServer serve(String address) throws IOException {
    return PackagedServer.in(directory)
        .disk("vda", image)
        .through("env", "NOTIFY_SOCKET=" + address, "WATCHDOG_USEC=200000")
        .start();
  }

  private void listen(String address, java.util.concurrent.Callable<Boolean> isThere)
      throws IOException {
    managers.add(
        new ProcessBuilder(Peer.SOCAT.path(), "-u", address, "STDOUT")
            .redirectOutput(told.toFile())
            .start());
    Awaitility.await().atMost(Duration.ofSeconds(20)).until(isThere);
  }

  private void await(String pattern) {
    Pattern expected = Pattern.compile(pattern, Pattern.DOTALL);
    Awaitility.await()
        .atMost(Duration.ofSeconds(20))
        .until(() -> expected.matcher(Files.readString(told)).find());
  }
}
