// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.server.ServerTls.Mode;
import io.nbdfleece.nbd.tls.TestAuthority;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// libnbd and qemu, whose TLS is GnuTLS, against the server. Skipped where they are not installed.
@Timeout(120)
final class TlsPeersTest {
  private static final String KEY =
      "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

  @TempDir Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private Path serverFiles = Path.of("");
  private Path clientFiles = Path.of("");
  private Path keys = Path.of("");

  @BeforeEach
  void writeFiles() throws IOException {
    serverFiles = authority.serverDirectory(directory.resolve("server"));
    clientFiles = authority.clientDirectory(directory.resolve("client"), "alice");
    Files.createDirectory(directory.resolve("psk"));
    // The name that qemu looks for.
    keys = Files.writeString(directory.resolve("psk/keys.psk"), "alice:" + KEY + "\n");
  }

  record Result(int code, String output) {}

  private Result run(Map<String, String> environment, String... command) throws Exception {
    boolean installed =
        Arrays.stream(System.getenv().getOrDefault("PATH", "").split(":"))
            .anyMatch(place -> Files.isExecutable(Path.of(place, command[0])));
    Assumptions.assumeTrue(
        installed, command[0] + " is not installed: apt-get install qemu-utils libnbd-bin");
    Path output = directory.resolve("output");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
    builder.environment().putAll(environment);
    Process process = builder.start();
    try {
      assertTrue(process.waitFor(60, TimeUnit.SECONDS), "still running: " + List.of(command));
    } finally {
      process.destroyForcibly();
    }
    return new Result(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
  }

  private TestServer server(TlsCredentials credentials, boolean verify) throws IOException {
    Recording disk = new Recording();
    new Random(3).nextBytes(disk.disk);
    return new TestServer(
        disk, TestServer.LIMITS, new ServerTls(Mode.REQUIRE, Optional.of(credentials), verify));
  }

  /// Remembers how the last client was encrypted.
  private static final class Recording extends MemoryExport {
    volatile String protocol = "";

    Recording() {
      super(8 << 20, WRITABLE);
    }

    @Override
    public Optional<Export> find(String name, ClientIdentity client) {
      protocol = client.tls().orElseThrow().protocol();
      return super.find(name, client);
    }
  }

  private TestServer x509(boolean verify) throws IOException {
    return server(new TlsCredentials.X509(serverFiles), verify);
  }

  private TestServer psk() throws IOException {
    return server(new TlsCredentials.Psk(keys, ""), false);
  }

  private void assertCopies(TestServer server, String uri, Map<String, String> environment)
      throws Exception {
    Path copy = directory.resolve("copy");
    Result result = run(environment, "nbdcopy", uri, copy.toString());
    assertEquals(new Result(0, ""), result);
    assertEquals(-1, Arrays.mismatch(server.disk.disk, Files.readAllBytes(copy)));
    byte[] other = new byte[8 << 20];
    new Random(4).nextBytes(other);
    Files.write(copy, other);
    assertEquals(new Result(0, ""), run(environment, "nbdcopy", "--flush", copy.toString(), uri));
    assertEquals(-1, Arrays.mismatch(other, server.disk.disk));
    assertEquals(environment.isEmpty() ? "TLSv1.3" : "TLSv1.2", ((Recording) server.disk).protocol);
  }

  /// GnuTLS without TLS 1.3.
  private Map<String, String> onlyTls12() throws IOException {
    Path file = directory.resolve("gnutls");
    Files.writeString(file, "[overrides]\ndisabled-version = tls1.3\n");
    return Map.of("GNUTLS_SYSTEM_PRIORITY_FILE", file.toString());
  }

  private String nbds(TestServer server, String user) {
    return "nbds://%slocalhost:%d/disk".formatted(user, server.port());
  }

  @Test
  void nbdcopyCopiesBothWaysWithCertificates() throws Exception {
    try (TestServer server = x509(true)) {
      String uri = nbds(server, "") + "?tls-certificates=" + clientFiles;
      assertCopies(server, uri, Map.of());
      assertCopies(server, uri, onlyTls12());
    }
  }

  @Test
  void nbdcopyCopiesOverAnEncryptedUnixSocket() throws Exception {
    try (TestServer server = x509(true)) {
      assertCopies(
          server,
          "nbds+unix:///disk?socket=" + server.socket + "&tls-certificates=" + clientFiles,
          Map.of());
    }
  }

  @Test
  void nbdcopyCopiesBothWaysWithAPreSharedKey() throws Exception {
    try (TestServer server = psk()) {
      String uri = nbds(server, "alice@") + "?tls-psk-file=" + keys;
      assertCopies(server, uri, Map.of());
      assertCopies(server, uri, onlyTls12());
    }
  }

  @Test
  void clientsOfAnotherAuthorityOrKeyAreRefused() throws Exception {
    Path strangers =
        new TestAuthority("other").clientDirectory(directory.resolve("strangers"), "alice");
    Path wrong = Files.writeString(directory.resolve("wrong"), "alice:ff" + KEY + "\neve:" + KEY);
    try (TestServer server = x509(true)) {
      String uri = nbds(server, "") + "?tls-certificates=" + strangers;
      assertNotEquals(0, run(Map.of(), "nbdinfo", uri).code());
    }
    try (TestServer server = psk()) {
      for (String user : List.of("alice@", "eve@")) {
        String uri = nbds(server, user) + "?tls-psk-file=" + wrong;
        assertNotEquals(0, run(Map.of(), "nbdinfo", uri).code());
        assertNotEquals(0, run(onlyTls12(), "nbdinfo", uri).code());
      }
      assertEquals(0, server.disk.connected.get());
    }
  }

  @Test
  void plainClientIsToldToUseTls() throws Exception {
    try (TestServer server = psk()) {
      Result result =
          run(Map.of(), "qemu-img", "info", "nbd://localhost:" + server.port() + "/disk");
      assertNotEquals(0, result.code());
      assertTrue(result.output().contains("requires TLS"), result.output());
    }
  }

  private Result qemu(TestServer server, String object) throws Exception {
    return run(
        Map.of(),
        "qemu-img",
        "compare",
        "--object",
        object,
        "--image-opts",
        "driver=raw,file.driver=file,file.filename=" + reference(server),
        ("driver=raw,file.driver=nbd,file.host=localhost,file.port=%d,"
                + "file.export=disk,file.tls-creds=t")
            .formatted(server.port()));
  }

  private Path reference(TestServer server) throws IOException {
    return Files.write(directory.resolve("reference"), server.disk.disk);
  }

  @Test
  void qemuReadsTheSameWithCertificatesAndWithAPreSharedKey() throws Exception {
    try (TestServer server = x509(true)) {
      Result result = qemu(server, "tls-creds-x509,id=t,endpoint=client,dir=" + clientFiles);
      assertEquals(new Result(0, "Images are identical.\n"), result);
    }
    try (TestServer server = psk()) {
      Result result =
          qemu(server, "tls-creds-psk,id=t,endpoint=client,username=alice,dir=" + keys.getParent());
      assertEquals(new Result(0, "Images are identical.\n"), result);
    }
  }
}
