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
import java.util.Map;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The TLS options of `serve`, with nbdinfo for a client. The certificates are made with the
/// commands of README.md.
@Timeout(180)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class ServeTlsTest {
  private static final int SIZE_BYTES = 1 << 20;
  private static final String ALICE_KEY =
      "634442c9c1244cbd7883e8485d7994d2cced4797c5f6e6499374d99882a6bd30";

  private Path directory = Path.of("");
  private Path image = Path.of("");
  private Path pki = Path.of("");
  private Path keys = Path.of("");

  @BeforeAll
  void makeCredentials(@TempDir Path directory) throws IOException {
    this.directory = directory;
    image = Images.sparse(directory.resolve("disk.img"), SIZE_BYTES);
    keys = Files.writeString(directory.resolve("keys.psk"), "alice:" + ALICE_KEY + "\n");
    pki = authority("pki", "localhost");
    client(pki, "backup1");
    client(pki, "stranger");
  }

  @Test
  void certificatesMeanThatEveryClientEncrypts() throws IOException {
    try (PackagedServer server = serve("certificates", "--tls-certificates", pki.toString())) {
      String uri = uri(server, 0);
      assertTrue(uri.startsWith("nbds+unix:///disk?socket="), uri);
      Command.Result _ = size(uri + "&tls-certificates=" + pki).succeeds();
      Command.Result _ = size(uri.replace("nbds", "nbd")).exits(1);
    }
  }

  @Test
  void onLeavesTheChoiceToTheClient() throws IOException {
    try (PackagedServer server = serve("on", "--tls", "on", "--tls-psk", keys.toString())) {
      assertTrue(uri(server, 0).startsWith("nbd+unix:"), uri(server, 0));
      assertTrue(uri(server, 1).startsWith("nbds+unix:"), uri(server, 1));
      Command.Result _ = size(uri(server, 0)).succeeds();
      String withKey = uri(server, 1).replace(":///", "://alice@/") + "&tls-psk-file=" + keys;
      Command.Result _ = size(withKey).succeeds();
    }
  }

  @Test
  void aDiskIsForTheClientsThatItAllows() throws IOException {
    try (PackagedServer server =
        serve("allow", "--tls-certificates", pki.toString(), "--tls-allow", "disk=backup1")) {
      String uri = uri(server, 0) + "&tls-certificates=";
      Command.Result _ = size(uri + directory.resolve("backup1")).succeeds();
      Command.Result _ = size(uri + directory.resolve("stranger")).exits(1).says("disk");
      Command.Result _ = size(uri + bare()).exits(1);
    }
  }

  @Test
  void hangupReadsTheCertificatesAgain() throws IOException {
    Path current = copy(pki, directory.resolve("current"));
    Path other = authority("other", "localhost");
    client(other, "newcomer");
    try (PackagedServer server =
        serve("reload", "--tls-certificates", current.toString(), "--tls-verify-peer")) {
      String uri = uri(server, 0) + "&tls-certificates=";
      Command.Result _ = size(uri + directory.resolve("backup1")).succeeds();
      Path _ = copy(other, current);
      hangUp(server, 1);
      Command.Result _ = size(uri + directory.resolve("backup1")).exits(1);
      Command.Result _ = size(uri + directory.resolve("newcomer")).succeeds();
      Path _ = Files.writeString(current.resolve("server-cert.pem"), "nonsense");
      hangUp(server, 2);
      Command.Result _ = size(uri + directory.resolve("newcomer")).succeeds();
      assertTrue(server.log().contains("server-cert.pem"), server.log());
    }
  }

  @Test
  void aCommandGetsAUriThatWorks() throws IOException {
    String info = "'" + Peer.NBDINFO.path() + "' --size \"$uri\"; echo $tls";
    for (List<String> options :
        List.of(
            List.of("--tls-certificates", pki.toString()), List.of("--tls-psk", keys.toString()))) {
      List<String> serve = Program.serve("--run", info, image.toString());
      serve.addAll(options);
      assertEquals(SIZE_BYTES + "\n2\n", Command.run(serve).succeeds().out());
    }
  }

  private PackagedServer serve(String name, String... options) throws IOException {
    Path place = Files.createDirectory(directory.resolve("serve-" + name));
    Path disk = Images.sparse(place.resolve("disk.img"), SIZE_BYTES);
    return PackagedServer.in(place).disk("disk", disk).with(options).start();
  }

  private static String uri(PackagedServer server, int index) {
    return server.readyLine().path("disks").get(0).path("uris").get(index).asString();
  }

  private static Command.Result size(String uri) throws IOException {
    // Nobody's own certificates, should there be any.
    return Command.run(List.of(Peer.NBDINFO.path(), "--size", uri), Map.of("HOME", "/nonexistent"));
  }

  private void hangUp(PackagedServer server, int times) throws IOException {
    Command.Result _ = Command.run("kill", "-HUP", "" + server.pid()).succeeds();
    Awaitility.await()
        .atMost(Duration.ofSeconds(20))
        .until(() -> server.log().split("TLS: ", -1).length - 1 >= times);
  }

  /// The authority's certificate alone: a client with nothing to show.
  private Path bare() throws IOException {
    Path place = Files.createDirectories(directory.resolve("bare"));
    Path certificate = place.resolve("ca-cert.pem");
    if (!Files.exists(certificate)) {
      Path _ = Files.copy(pki.resolve("ca-cert.pem"), certificate);
    }
    return place;
  }

  private Path authority(String name, String host) throws IOException {
    Path place = Files.createDirectory(directory.resolve(name));
    openssl("/CN=authority " + name, place.resolve("ca-key.pem"), place.resolve("ca-cert.pem"));
    issue(
        place,
        host,
        place.resolve("server-key.pem"),
        place.resolve("server-cert.pem"),
        "-addext",
        "subjectAltName=DNS:" + host);
    return place;
  }

  private void client(Path authority, String name) throws IOException {
    Path place = Files.createDirectory(directory.resolve(name));
    Path _ = Files.copy(authority.resolve("ca-cert.pem"), place.resolve("ca-cert.pem"));
    issue(authority, name, place.resolve("client-key.pem"), place.resolve("client-cert.pem"));
  }

  private static void issue(
      Path authority, String name, Path key, Path certificate, String... options)
      throws IOException {
    openssl(
        "/CN=" + name,
        key,
        certificate,
        Command.join(
                List.of(
                    "-CA",
                    authority.resolve("ca-cert.pem").toString(),
                    "-CAkey",
                    authority.resolve("ca-key.pem").toString(),
                    "-addext",
                    "basicConstraints=critical,CA:FALSE"),
                options)
            .toArray(String[]::new));
  }

  private static void openssl(String subject, Path key, Path certificate, String... options)
      throws IOException {
    List<String> command = new ArrayList<>(List.of(Peer.OPENSSL.path(), "req", "-x509"));
    command.addAll(List.of("-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject));
    command.addAll(List.of("-keyout", key.toString(), "-out", certificate.toString()));
    command.addAll(List.of(options));
    Command.Result _ = Command.run(command).succeeds();
  }

  private static Path copy(Path from, Path to) throws IOException {
    Path target = Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.toList()) {
        Path _ =
            Files.copy(
                file,
                target.resolve(String.valueOf(file.getFileName())),
                java.nio.file.StandardCopyOption.REPLACE_EXISTING);
      }
    }
    return target;
  }
}
