// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Assertions;

/// Disk images and requests that wait for their answers.
final class Images {
  private static final long ANSWER_SECONDS_MAX = 60;

  private Images() {}

  /// A file without data.
  static Path sparse(Path path, long sizeBytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(sizeBytes);
    }
    return path;
  }

  /// A file full of random data, and that data.
  static byte[] random(Path path, int sizeBytes, long seed) throws IOException {
    byte[] content = new byte[sizeBytes];
    new Random(seed).nextBytes(content);
    Files.write(path, content);
    return content;
  }

  /// A qcow2 image of 10 MiB with the bitmap `b0`, which has seen 128 KiB of data at 1 MiB and 64
  /// KiB of zeroes at 3 MiB being written.
  static Path qcow2WithBitmap(Path path) throws IOException {
    String qemuImg = Peer.QEMU_IMG.path();
    String image = path.toString();
    Command.Result _ = Command.run(qemuImg, "create", "-q", "-f", "qcow2", image, "10M").succeeds();
    Command.Result _ = Command.run(qemuImg, "bitmap", "--add", image, "b0").succeeds();
    Command.Result _ =
        Command.run(
                Peer.QEMU_IO.path(),
                "-f",
                "qcow2",
                "-c",
                "write 1M 128k",
                "-c",
                "write -z 3M 64k",
                image)
            .succeeds();
    return path;
  }

  /// Bytes of one value.
  static ByteBuffer filled(int lengthBytes, int value) {
    byte[] bytes = new byte[lengthBytes];
    Arrays.fill(bytes, (byte) value);
    return ByteBuffer.allocateDirect(lengthBytes).put(bytes).flip();
  }

  static byte[] read(NbdClient client, long offsetBytes, int lengthBytes) throws IOException {
    ByteBuffer target = ByteBuffer.allocateDirect(lengthBytes);
    await(client.read(offsetBytes, target));
    byte[] bytes = new byte[lengthBytes];
    target.get(bytes);
    return bytes;
  }

  static void write(NbdClient client, long offsetBytes, ByteBuffer data) throws IOException {
    await(client.write(offsetBytes, data, Export.Durability.CACHED));
  }

  /// Waits for the answer. A refusal is thrown as it came.
  static void await(CompletableFuture<?> answer) throws IOException {
    try {
      Object _ = answer.get(ANSWER_SECONDS_MAX, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException cause) {
        throw cause;
      }
      throw new AssertionError(e);
    } catch (TimeoutException e) {
      throw new AssertionError("no answer after " + ANSWER_SECONDS_MAX + " s", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
  }

  /// The refusal, which must come and must be this error.
  static NbdException refused(NbdError error, CompletableFuture<?> answer) {
    NbdException refusal = Assertions.assertThrows(NbdException.class, () -> await(answer));
    Assertions.assertEquals(error, refusal.error(), refusal::toString);
    return refusal;
  }

  /// Space that the file takes on its file system.
  static long allocatedBytes(Path path) throws IOException {
    String blocks = Command.run("stat", "-c", "%b", path.toString()).succeeds().out().strip();
    return Long.parseLong(blocks) * 512;
  }
}
