// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.nbd.server.ServerConfig.Listen;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

final class ServeRequestTest {
  private static final Listen LOOPBACK =
      new Listen.Tcp(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 10809));

  @Test
  void aDiskIsNamedAfterItsFileWithoutExtension() throws IOException {
    assertEquals(
        List.of("disk", "a.b", "vm1", ".hidden"),
        disks(List.of("disk.img", "/x/a.b.raw", "/dev/vg/vm1", ".hidden"), List.of()).stream()
            .map(DiskConfig::name)
            .toList());
  }

  @Test
  void aNamedDiskMayHaveAnEqualsSignInItsPath() throws IOException {
    assertEquals(
        new DiskConfig("vda", "/x/a=b.img", DiskConfig.Access.READ_WRITE),
        disks(List.of(), List.of("vda=/x/a=b.img")).getFirst());
  }

  @Test
  void namesThatClashOrDoNotWorkAreRefused() {
    assertUsage("two disks named", List.of("/a/disk.img", "/b/disk.raw"), List.of());
    assertUsage("disk name", List.of("/a/x@y.img"), List.of());
    assertUsage("NAME=PATH", List.of(), List.of("vda"));
    assertUsage("NAME=PATH", List.of(), List.of("=x"));
    assertUsage("nothing to serve", List.of(), List.of());
  }

  @Test
  void theDefaultIsLoopback() throws IOException {
    assertEquals(List.of(LOOPBACK), listen(null, OptionalInt.empty(), null, false));
  }

  @Test
  void aUnixSocketReplacesTcpUnlessTcpIsAskedFor() throws IOException {
    Listen unix = new Listen.Unix(Path.of("/run/nbd.sock"));
    assertEquals(List.of(unix), listen("/run/nbd.sock", OptionalInt.empty(), null, false));
    assertEquals(
        List.of(unix, LOOPBACK), listen("/run/nbd.sock", OptionalInt.of(10809), null, false));
  }

  @Test
  void anAddressForOthersNeedsInsecure() throws IOException {
    CommandFailure refused =
        assertThrows(
            CommandFailure.class, () -> listen(null, OptionalInt.empty(), "0.0.0.0", false));
    assertEquals(ExitCode.USAGE, refused.code());
    assertTrue(Messages.of(refused).contains("--insecure"));
    assertEquals(1, listen(null, OptionalInt.empty(), "0.0.0.0", true).size());
    assertEquals(1, listen(null, OptionalInt.empty(), "::1", false).size());
  }

  private static List<DiskConfig> disks(List<String> paths, List<String> named) throws IOException {
    return request(paths, named, Optional.empty(), OptionalInt.empty(), Optional.empty(), false)
        .resolve()
        .disks();
  }

  private static List<Listen> listen(
      @org.jspecify.annotations.Nullable String unix,
      OptionalInt port,
      @org.jspecify.annotations.Nullable String address,
      boolean insecure)
      throws IOException {
    return request(
            List.of("disk.img"),
            List.of(),
            Optional.ofNullable(unix).map(Path::of),
            port,
            Optional.ofNullable(address),
            insecure)
        .resolve()
        .listen();
  }

  private static void assertUsage(String expected, List<String> paths, List<String> named) {
    CommandFailure refused = assertThrows(CommandFailure.class, () -> disks(paths, named));
    assertEquals(ExitCode.USAGE, refused.code());
    assertTrue(Messages.of(refused).contains(expected), Messages.of(refused));
  }

  private static ServeRequest request(
      List<String> paths,
      List<String> named,
      Optional<Path> unix,
      OptionalInt port,
      Optional<String> address,
      boolean insecure) {
    return new ServeRequest(
        paths.stream().map(Path::of).toList(),
        named,
        false,
        unix,
        port,
        address,
        insecure,
        256 << 20,
        Path.of("/var/tmp"),
        Optional.empty(),
        64 << 10,
        "BREAK_SNAPSHOT",
        30,
        Optional.empty(),
        Optional.empty());
  }
}
