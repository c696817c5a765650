// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.server.ServerTls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class TlsRequestTest {
  private static final NbdUri.Unix BOUND = new NbdUri.Unix(Path.of("/run/nbd.sock"), "");

  private final TypedRequest typed = new TypedRequest();
  @TempDir private Path directory = Path.of("");
  private Path keys = Path.of("");

  @BeforeEach
  void writeKeys() throws IOException {
    keys = Files.writeString(directory.resolve("keys.psk"), "#x\nalice:00ff\nbob:ff00\n");
  }

  @Test
  void withoutCredentialsThereIsNoEncryption() throws IOException {
    assertEquals(ServerTls.OFF, tls());
  }

  @Test
  void credentialsMeanRequired() throws IOException {
    typed.certificates = Optional.of(directory);
    assertEquals(
        new ServerTls(
            ServerTls.Mode.REQUIRE, Optional.of(new TlsCredentials.X509(directory)), false),
        tls());
    typed.tls = Optional.of("off");
    assertEquals(ServerTls.OFF, tls());
    typed.certificates = Optional.empty();
    typed.psk = Optional.of(keys);
    typed.tls = Optional.of("on");
    assertEquals(
        new ServerTls(ServerTls.Mode.ON, Optional.of(new TlsCredentials.Psk(keys, "")), false),
        tls());
  }

  @Test
  void anAllowListMeansThatClientsProveThemselves() throws IOException {
    typed.certificates = Optional.of(directory);
    assertFalse(tls().verifyClients());
    typed.allow = List.of("disk=CN=alice,O=Example", "disk=bob");
    assertTrue(tls().verifyClients());
    assertEquals(
        Map.of("disk", Set.of("CN=alice,O=Example", "bob")), typed.resolve().allowedNames());
  }

  @Test
  void whatDoesNotFitTogetherIsRefused() {
    typed.tls = Optional.of("require");
    assertRefused(ExitCode.USAGE, "--tls require: it needs --tls-certificates DIR");
    typed.tls = Optional.of("yes");
    assertRefused(ExitCode.USAGE, "--tls yes: give off, on or require");
    typed.tls = Optional.empty();
    typed.verifyPeer = true;
    assertRefused(ExitCode.USAGE, "--tls-verify-peer: without encryption");
    typed.verifyPeer = false;
    typed.allow = List.of("disk=bob");
    assertRefused(ExitCode.USAGE, "--tls-allow: without encryption");
    typed.certificates = Optional.of(directory);
    typed.allow = List.of("vdb=bob");
    assertRefused(ExitCode.USAGE, "no disk \"vdb\" is served: give one of disk");
    typed.allow = List.of("disk=");
    assertRefused(ExitCode.USAGE, "give DISK=NAME");
    typed.psk = Optional.of(keys);
    assertRefused(ExitCode.USAGE, "give one of the two");
  }

  @Test
  void credentialsThatAreNotThereAreNamed() {
    typed.certificates = Optional.of(directory.resolve("pki"));
    assertRefused(ExitCode.NOT_FOUND, directory.resolve("pki") + ": no such directory");
    typed.certificates = Optional.empty();
    typed.psk = Optional.of(directory.resolve("none.psk"));
    assertRefused(ExitCode.NOT_FOUND, directory.resolve("none.psk") + ": no such file");
  }

  @Test
  void printedUrisSayWhatAClientMayDo() throws IOException {
    assertEquals(List.of(false), encrypted());
    typed.certificates = Optional.of(directory);
    assertEquals(List.of(true), encrypted());
    typed.tls = Optional.of("on");
    assertEquals(List.of(false, true), encrypted());
  }

  @Test
  void theUriOfACommandNamesOurCredentials() throws IOException {
    typed.certificates = Optional.of(directory);
    assertEquals(
        new NbdUri.Tls("", Optional.of(directory), Optional.empty(), true, Optional.empty()),
        ServerUris.usable(BOUND, tls()).tls().orElseThrow());
    typed.certificates = Optional.empty();
    typed.psk = Optional.of(keys);
    assertEquals(
        new NbdUri.Tls("alice", Optional.empty(), Optional.of(keys), true, Optional.empty()),
        ServerUris.usable(BOUND, tls()).tls().orElseThrow());
    typed.tls = Optional.of("on");
    assertEquals(BOUND, ServerUris.usable(BOUND, tls()));
  }

  private List<Boolean> encrypted() throws IOException {
    return ServerUris.printed(List.of(BOUND), tls()).stream()
        .map(uri -> uri.tls().isPresent())
        .toList();
  }

  private ServerTls tls() throws IOException {
    return typed.resolve().server().tls();
  }

  private void assertRefused(ExitCode code, String expected) {
    CommandFailure refused = assertThrows(CommandFailure.class, typed::resolve);
    assertTrue(Messages.of(refused).contains(expected), Messages.of(refused));
    assertEquals(code, refused.code());
  }
}
