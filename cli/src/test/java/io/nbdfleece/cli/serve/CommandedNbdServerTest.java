// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.control.ControlTarget.NbdAddress;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.nbd.NamedExports;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class CommandedNbdServerTest {
  private FleecingEngine engine = never();
  private CommandedNbdServer door = never();

  @TempDir Path directory = Path.of("");

  @SuppressWarnings({"NullAway", "TypeParameterUnusedInFormals"}) // JUnit fills them.
  private static <T> T never() {
    return null;
  }

  @BeforeEach
  void open() throws IOException {
    engine = FleecingEngine.open(new EngineConfig(64 << 10, 1 << 20, directory, 1 << 20, 4));
    door =
        new CommandedNbdServer(
            new NamedExports(engine, _ -> {}),
            new CommandedNbdServer.Terms(
                new ServerConfig(List.of(), ServerLimits.defaults()), false));
  }

  @AfterEach
  void close() throws IOException {
    door.close();
    engine.close();
  }

  @Test
  void oneIsStartedAtATime() throws IOException {
    Path path = directory.resolve("nbd.sock");
    door.start(unix(path, false));
    assertTrue(door.running());
    assertTrue(Files.exists(path));
    assertEquals(
        "NBD server already running",
        assertThrows(IOException.class, () -> door.start(unix(path, false))).getMessage());
    door.close();
    assertFalse(door.running());
    assertFalse(Files.exists(path));
  }

  @Test
  void whatDoesNotRunCannotBeStopped() {
    assertEquals(
        "NBD server not running", assertThrows(IOException.class, door::stop).getMessage());
  }

  @Test
  void whatCannotBeListenedOnLeavesNothingRunning() throws IOException {
    Path nowhere = directory.resolve("nowhere/nbd.sock");
    assertThrows(IOException.class, () -> door.start(unix(nowhere, false)));
    assertFalse(door.running());
    door.start(unix(directory.resolve("nbd.sock"), false));
    assertTrue(door.running());
  }

  @Test
  void withoutCredentialsOfServeThereIsNoTls() {
    IOException refused =
        assertThrows(
            IOException.class, () -> door.start(unix(directory.resolve("nbd.sock"), true)));
    assertTrue(String.valueOf(refused.getMessage()).contains("--tls-certificates"));
  }

  @Test
  void otherMachinesAreLetInWithEncryptionOnly() {
    IOException refused =
        assertThrows(
            IOException.class,
            () ->
                door.start(
                    new NbdAddress(
                        Optional.empty(),
                        Optional.of(new InetSocketAddress(0)),
                        1,
                        Duration.ZERO,
                        false)));
    assertTrue(String.valueOf(refused.getMessage()).contains("--insecure"));
  }

  private static NbdAddress unix(Path path, boolean tls) {
    return new NbdAddress(Optional.of(path), Optional.empty(), 0, Duration.ofSeconds(10), tls);
  }
}
