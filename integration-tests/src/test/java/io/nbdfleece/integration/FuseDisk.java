// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.awaitility.Awaitility;

/// A disk file whose content an NBD server provides, by way of nbdfuse: what the server refuses or
/// holds back, the kernel refuses or holds back to whoever uses the file.
final class FuseDisk implements AutoCloseable {
  private final Process process;
  private final List<String> command;
  private final Path file;

  private FuseDisk(Path file, List<String> command) throws IOException {
    this.file = file;
    this.command = command;
    process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
  }

  /// Skips the test when this machine cannot do it.
  static FuseDisk mount(Path file, NbdUri uri) throws IOException {
    String nbdfuse = Peer.NBDFUSE.path();
    Peer.requireRoot();
    if (!Files.isReadable(Path.of("/dev/fuse"))) {
      Peer.absent("/dev/fuse not usable: modprobe fuse");
    }
    Files.createFile(file);
    FuseDisk disk = new FuseDisk(file, List.of(nbdfuse, file.toString(), uri.toString()));
    Awaitility.await()
        .atMost(Duration.ofSeconds(20))
        .until(() -> Files.size(file) > 0 || !disk.process.isAlive());
    if (!disk.process.isAlive()) {
      Peer.absent("nbdfuse cannot mount here: see fuse(8)");
    }
    return disk;
  }

  Path file() {
    return file;
  }

  @Override
  public void close() {
    try {
      Command.Result _ = Command.run("umount", file.toString()).succeeds();
    } catch (IOException e) {
      throw new AssertionError(e);
    } finally {
      process.destroy();
      int _ = Command.await(process, command);
    }
  }
}
