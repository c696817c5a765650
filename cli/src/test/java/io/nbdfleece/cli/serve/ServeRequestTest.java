// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.server.ServerConfig.Listen;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ServeRequestTest {
  private static final Listen LOOPBACK =
      new Listen.Tcp(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 10809));

  private final TypedRequest typed = new TypedRequest();
  @TempDir private Path directory = Path.of("");

  @Test
  void aDiskIsNamedAfterItsFileWithoutExtension() throws IOException {
    typed.places = List.of("disk.img", "/x/a.b.raw", "/dev/vg/vm1", ".hidden");
    assertEquals(List.of("disk", "a.b", "vm1", ".hidden"), diskNames());
  }

  @Test
  void aNamedDiskMayHaveAnEqualsSignInItsPath() throws IOException {
    typed.named = List.of("vda=/x/a=b.img");
    DiskPlace disk = typed.resolve().disks().getLast();
    assertEquals(new DiskConfig("vda", "/x/a=b.img", DiskConfig.Access.READ_WRITE), disk.config());
    assertEquals(Optional.empty(), disk.upstream());
  }

  @Test
  void anUpstreamDiskMayHaveEqualsSignsInItsUri() throws IOException {
    String uri = "nbd+unix:///vm1?socket=/run/b=c.sock";
    typed.named = List.of("vda=" + uri);
    DiskPlace disk = typed.resolve().disks().getLast();
    assertEquals("vda", disk.config().name());
    assertEquals(uri, disk.config().location());
    assertEquals(Optional.of(new NbdUri.Unix(Path.of("/run/b=c.sock"), "vm1")), disk.upstream());
  }

  @Test
  void anUpstreamDiskIsNamedAfterItsExport() throws IOException {
    typed.places = List.of("nbd://localhost/vm1", "NBD://localhost/vm2");
    assertEquals(List.of("vm1", "vm2"), diskNames());
  }

  @Test
  void anExportWithoutAUsableNameHasToBeNamed() {
    typed.places = List.of("nbd://localhost/");
    assertUsage("--disk 'NAME=nbd://localhost/'");
    typed.places = List.of("nbd://localhost/vm1@nightly");
    assertUsage("--disk NAME=");
  }

  @Test
  void aUriThatIsWrongIsExplained() {
    typed.places = List.of("nbd+unix:///vda");
    assertUsage("no socket=");
    typed.places = List.of("http://localhost/vda");
    assertUsage("scheme");
  }

  @Test
  void namesThatClashOrDoNotWorkAreRefused() {
    typed.places = List.of("/a/disk.img", "/b/disk.raw");
    assertUsage("two disks named");
    typed.places = List.of("/a/x@y.img");
    assertUsage("disk name");
    typed.places = List.of();
    assertUsage("nothing to serve");
    typed.named = List.of("vda");
    assertUsage("NAME=PATH");
    typed.named = List.of("=x");
    assertUsage("NAME=PATH");
  }

  @Test
  void upstreamOptionsAreChecked() throws IOException {
    assertEquals(Duration.ofSeconds(60), typed.resolve().upstream().reconnectDelay());
    typed.upstreamConnections = 0;
    assertUsage("--upstream-connections 0");
    typed.upstreamConnections = 1;
    typed.reconnectDelaySeconds = -1;
    assertUsage("--reconnect-delay -1");
  }

  @Test
  void theDefaultIsLoopback() throws IOException {
    assertEquals(List.of(LOOPBACK), typed.resolve().server().listen());
  }

  @Test
  void aUnixSocketReplacesTcpUnlessTcpIsAskedFor() throws IOException {
    Listen unix = new Listen.Unix(Path.of("/run/nbd.sock"));
    typed.unix = Optional.of("/run/nbd.sock");
    assertEquals(List.of(unix), typed.resolve().server().listen());
    typed.port = OptionalInt.of(10809);
    assertEquals(List.of(unix, LOOPBACK), typed.resolve().server().listen());
  }

  @Test
  void anAddressForOthersNeedsInsecure() throws IOException {
    typed.address = Optional.of("0.0.0.0");
    assertUsage("they need --tls-certificates DIR or --tls-psk FILE, or say --insecure");
    typed.insecure = true;
    assertEquals(1, typed.resolve().server().listen().size());
    typed.insecure = false;
    typed.address = Optional.of("::1");
    assertEquals(1, typed.resolve().server().listen().size());
  }

  @Test
  void anAddressForOthersNeedsEncryptionThatIsRequired() throws IOException {
    typed.address = Optional.of("0.0.0.0");
    typed.certificates = Optional.of(directory);
    assertEquals(1, typed.resolve().server().listen().size());
    typed.tls = Optional.of("on");
    assertUsage("--tls require");
  }

  @Test
  void aPrivateSocketHasItsControlSocketBesideIt() throws IOException {
    typed.unix = Optional.of("-");
    ServeOptions first = typed.resolve();
    PrivatePlace place = first.privatePlace().orElseThrow();
    assertEquals(List.of(new Listen.Unix(place.nbdSocket())), first.server().listen());
    assertEquals(place.controlSocket(), first.control().path());
    assertFalse(first.isCaptive());
    assertNotEquals(place, typed.resolve().privatePlace().orElseThrow());
  }

  @Test
  void aNamedControlSocketStaysWhereItWasNamed() throws IOException {
    typed.unix = Optional.of("-");
    typed.qmp = Optional.of(Path.of("/run/q.sock"));
    assertEquals(Path.of("/run/q.sock"), typed.resolve().control().path());
    typed.qmp = Optional.empty();
    typed.environment = Map.of("NBDFLEECE_QMP", "/run/e.sock");
    assertEquals(Path.of("/run/e.sock"), typed.resolve().control().path());
  }

  @Test
  void aCommandGetsAPrivateSocketUnlessAnAddressIsGiven() throws IOException {
    typed.run = Optional.of("true");
    ServeOptions options = typed.resolve();
    PrivatePlace place = options.privatePlace().orElseThrow();
    assertEquals(List.of(new Listen.Unix(place.nbdSocket())), options.server().listen());
    assertTrue(options.isCaptive());
    typed.port = OptionalInt.of(10809);
    assertEquals(List.of(LOOPBACK), typed.resolve().server().listen());
    assertTrue(typed.resolve().privatePlace().isPresent());
  }

  @Test
  void socketsForAnotherProcessAreNotOurs() throws IOException {
    typed.environment = Map.of("LISTEN_FDS", "1", "LISTEN_PID", "1");
    assertEquals(List.of(LOOPBACK), typed.resolve().server().listen());
  }

  @Test
  void passedSocketsAndAddressesExcludeOneAnother() {
    typed.environment = Map.of("LISTEN_FDS", "1", "LISTEN_PID", "" + TypedRequest.PID);
    typed.port = OptionalInt.of(10809);
    assertUsage("leave out --unix, --port and --ipaddr");
  }

  @Test
  void aPassedNumberThatIsNoSocketIsExplained() {
    // Far more than this process has open.
    typed.environment = Map.of("LISTEN_FDS", "256", "LISTEN_PID", "" + TypedRequest.PID);
    assertUsage("LISTEN_FDS=256");
    typed.environment = Map.of("LISTEN_FDS", "many", "LISTEN_PID", "" + TypedRequest.PID);
    assertUsage("LISTEN_FDS=many");
  }

  @Test
  void guestsAndOperatorsDoNotShareASocket() throws IOException {
    typed.environment = Map.of("NBDFLEECE_QMP", "/run/./nbd.sock");
    typed.unix = Optional.of("/run/nbd.sock");
    assertUsage("--unix /run/nbd.sock: is the control socket's path, too");
    typed.unix = Optional.of("/run/other.sock");
    assertEquals(Path.of("/run/./nbd.sock"), typed.resolve().control().path());
  }

  @Test
  void limitsChangeTheDefaults() throws IOException {
    typed.limits = List.of("handshake-seconds=3", "connections=7", "total-bytes=1G", "extents=1");
    assertEquals(
        ServerLimits.defaults()
            .withHandshakeDeadline(Duration.ofSeconds(3))
            .withConnectionsMax(7)
            .withBytesInFlightTotalMax(1 << 30)
            .withExtentsMax(1),
        typed.resolve().server().limits());
  }

  @Test
  void everyLimitTakesItsBoundaries() throws IOException {
    for (Limit limit : Limit.values()) {
      typed.limits = List.of(limit + "=0");
      assertUsage("--limit " + limit + "=0");
      typed.limits = List.of(limit + "=200");
      if (limit != Limit.BYTES && limit != Limit.TOTAL_BYTES) {
        assertNotEquals(ServerLimits.defaults(), typed.resolve().server().limits());
      }
    }
  }

  @Test
  void limitsThatAreWrongAreExplained() {
    typed.limits = List.of("conections=7");
    assertUsage("there are connections, handshakes, handshake-seconds");
    typed.limits = List.of("connections");
    assertUsage("give connections=VALUE");
    typed.limits = List.of("connections=x");
    assertUsage("no number");
    typed.limits = List.of("bytes=lots");
    assertUsage("'lots'");
    typed.limits = List.of("bytes=1K");
    assertUsage("give 1.0 MiB to");
  }

  private List<String> diskNames() throws IOException {
    return typed.resolve().disks().stream().map(disk -> disk.config().name()).toList();
  }

  private void assertUsage(String expected) {
    CommandFailure refused = assertThrows(CommandFailure.class, typed::resolve);
    assertEquals(ExitCode.USAGE, refused.code());
    assertTrue(Messages.of(refused).contains(expected), Messages.of(refused));
  }
}
