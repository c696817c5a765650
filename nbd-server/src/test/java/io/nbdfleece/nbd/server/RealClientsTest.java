// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Other people's clients against the server, over a Unix socket and over TCP. Skipped where they
/// are not installed, unless NBDFLEECE_REQUIRE_PEERS says that they must be.
@Timeout(120)
class RealClientsTest {
  private static final int SIZE = 16 << 20;

  @TempDir Path directory;

  private final MemoryExport disk = new MemoryExport(SIZE, MemoryExport.WRITABLE);
  private NbdServer server;
  private int port;

  @BeforeEach
  void start() throws IOException {
    server =
        NbdServer.start(
            new ServerConfig(
                List.of(
                    new ServerConfig.Listen.Unix(directory.resolve("s")),
                    new ServerConfig.Listen.Tcp(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))),
                TestServer.LIMITS),
            disk);
    port = ((NbdUri.Tcp) server.uris().getLast()).port();
  }

  @AfterEach
  void stop() {
    server.close(Duration.ofSeconds(1));
    assertEquals(disk.connected.get(), disk.disconnected.get());
  }

  private String uri(String transport) {
    return transport.equals("unix")
        ? "nbd+unix:///disk?socket=" + directory.resolve("s")
        : "nbd://127.0.0.1:" + port + "/disk";
  }

  private static String installed(String tool, String debianPackage) {
    for (String place : (System.getenv("PATH") + ":/usr/sbin:/sbin").split(":", -1)) {
      Path path = Path.of(place, tool);
      if (Files.isExecutable(path)) {
        return path.toString();
      }
    }
    return absent(tool + " is not installed: apt-get install " + debianPackage);
  }

  private static String absent(String message) {
    if ("1".equals(System.getenv("NBDFLEECE_REQUIRE_PEERS"))) {
      Assertions.fail(message);
    }
    return Assumptions.abort(message);
  }

  /// What a program printed, both streams, when it ended well.
  private String run(String... command) throws IOException, InterruptedException {
    Path out = Files.createTempFile(directory, "client", ".out");
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(out.toFile()).start();
    if (!process.waitFor(60, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new AssertionError("still running: " + Arrays.toString(command));
    }
    String text = Files.readString(out);
    assertEquals(0, process.exitValue(), () -> Arrays.toString(command) + "\n" + text);
    return text;
  }

  private Path image() throws IOException {
    byte[] content = new byte[SIZE];
    new Random(31).nextBytes(content);
    Arrays.fill(content, 3 << 20, 9 << 20, (byte) 0);
    return Files.write(directory.resolve("image"), content);
  }

  @ParameterizedTest
  @ValueSource(strings = {"unix", "tcp"})
  @Rule({"G3", "I1", "N4", "M4"})
  void nbdinfoShowsTheExport(String transport) throws Exception {
    String nbdinfo = installed("nbdinfo", "libnbd-bin");
    String info = run(nbdinfo, "--json", uri(transport));
    for (String part :
        List.of(
            "\"export-size\": " + SIZE,
            "\"structured\": true",
            "\"block_size_maximum\": 33554432",
            "\"can_multi_conn\": true",
            "\"can_fast_zero\": true",
            "\"qemu:dirty-bitmap:b0\"")) {
      assertTrue(info.contains(part), info);
    }
    String list = run(nbdinfo, "--list", "--json", uri(transport));
    assertTrue(list.contains("\"export-name\": \"disk\""), list);
    String map = run(nbdinfo, "--map", uri(transport));
    assertTrue(map.strip().endsWith("data"), map);
  }

  @ParameterizedTest
  @ValueSource(strings = {"unix", "tcp"})
  @Rule({"K1", "W1", "MC1"})
  void nbdcopyWritesAndReadsWithSeveralConnections(String transport) throws Exception {
    String nbdcopy = installed("nbdcopy", "libnbd-bin");
    Path image = image();
    run(nbdcopy, "--connections=4", "--flush", image.toString(), uri(transport));
    assertArrayEquals(Files.readAllBytes(image), disk.disk);
    Path copy = directory.resolve("copy");
    run(nbdcopy, "--connections=4", "--requests=32", uri(transport), copy.toString());
    assertArrayEquals(disk.disk, Files.readAllBytes(copy));
  }

  @ParameterizedTest
  @ValueSource(strings = {"unix", "tcp"})
  @Rule({"C4", "C5", "C10", "K4", "B2"})
  void libnbdSeesTheErrorsOfTheSpecification(String transport) throws Exception {
    if (!Files.isExecutable(Path.of("/usr/bin/python3"))) {
      absent("/usr/bin/python3 is not installed: apt-get install python3-libnbd");
    }
    Process probe = new ProcessBuilder("/usr/bin/python3", "-c", "import nbd").start();
    if (probe.waitFor() != 0) {
      absent("libnbd for Python is not installed: apt-get install python3-libnbd");
    }
    try (InputStream in = RealClientsTest.class.getResourceAsStream("strict.py")) {
      assertTrue(in != null, "strict.py is a resource");
      String script = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      String said = run("/usr/bin/python3", "-c", script, uri(transport));
      assertEquals("all kept", said.strip());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"unix", "tcp"})
  @Rule({"TR1", "Z1", "FL1"})
  void qemuIoWritesZeroesTrimsAndReadsBack(String transport) throws Exception {
    List<String> command =
        new ArrayList<>(List.of(installed("qemu-io", "qemu-utils"), "-f", "raw"));
    for (String step :
        List.of(
            "write -P 0x33 0 1M",
            "write -z 64k 64k",
            "write -z -u 256k 64k",
            "write -f -P 0x44 128k 64k",
            "discard 192k 64k",
            "flush",
            "read -P 0x33 0 64k",
            "read -P 0 64k 64k",
            "read -P 0x44 128k 64k",
            "read -P 0 256k 64k",
            "read -P 0x33 320k 64k")) {
      command.addAll(List.of("-c", step));
    }
    command.add(uri(transport));
    String said = run(command.toArray(new String[0]));
    assertTrue(!said.contains("verification failed") && !said.contains("rror"), said);
  }

  @ParameterizedTest
  @ValueSource(strings = {"unix", "tcp"})
  @Rule({"K1", "W1"})
  void qemuImgConvertsBothWaysAndComparesEqual(String transport) throws Exception {
    String qemuImg = installed("qemu-img", "qemu-utils");
    String image = image().toString();
    run(qemuImg, "convert", "-n", "-f", "raw", "-O", "raw", "-W", image, uri(transport));
    run(qemuImg, "compare", "-f", "raw", "-F", "raw", image, uri(transport));
    assertArrayEquals(Files.readAllBytes(Path.of(image)), disk.disk);
    Path copy = directory.resolve("copy.qcow2");
    run(qemuImg, "convert", "-f", "raw", "-O", "qcow2", uri(transport), copy.toString());
    run(qemuImg, "compare", "-f", "qcow2", "-F", "raw", copy.toString(), image);
  }

  @Test
  @Rule({"L1", "AB1"})
  void nbdClientLists() throws Exception {
    String nbdClient = installed("nbd-client", "nbd-client");
    String tcp = run(nbdClient, "-l", "127.0.0.1", String.valueOf(port));
    assertTrue(tcp.contains("disk: memory disk"), tcp);
    String unix = run(nbdClient, "-l", "-unix", directory.resolve("s").toString());
    assertTrue(unix.contains("disk: memory disk"), unix);
  }
}
