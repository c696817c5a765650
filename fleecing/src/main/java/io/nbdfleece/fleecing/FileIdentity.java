// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.state.DiskIdentity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;

/// Identity of a raw file or a block device. Waits for the disk.
final class FileIdentity implements DiskIdentity {
  /// Where the kernel tells what a block device is, below its folder in /sys/dev/block.
  private static final List<String> SERIALS =
      List.of(
          "serial",
          "wwid",
          "device/serial",
          "device/wwid",
          "dm/uuid",
          "loop/backing_file",
          "../device/serial",
          "../device/wwid");

  private static final int SAMPLE_BYTES = 64 << 10;
  private static final int SAMPLES = 64;

  private final Path path;
  private final long sizeBytes;

  FileIdentity(Path path, long sizeBytes) {
    this.path = path;
    this.sizeBytes = sizeBytes;
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public String identity() throws IOException {
    Map<String, Object> attributes = Files.readAttributes(path, "unix:dev,ino,rdev");
    if (Files.isRegularFile(path)) {
      return "file " + attributes.get("dev") + ":" + attributes.get("ino");
    }
    long rdev = ((Number) attributes.getOrDefault("rdev", 0L)).longValue();
    return "device " + rdev + serial(rdev);
  }

  private static String serial(long rdev) throws IOException {
    // As glibc's major() and minor().
    long major = (rdev >>> 8 & 0xfff) | (rdev >>> 32 & ~0xfffL);
    long minor = (rdev & 0xff) | (rdev >>> 12 & ~0xffL);
    Path folder = Path.of("/sys/dev/block", major + ":" + minor);
    for (String name : SERIALS) {
      Path file = folder.resolve(name);
      if (Files.isReadable(file)) {
        return " " + Files.readString(file, StandardCharsets.UTF_8).strip();
      }
    }
    return "";
  }

  @Override
  public String stamp() throws IOException {
    if (Files.isRegularFile(path)) {
      FileTime modified = Files.getLastModifiedTime(path);
      return Long.toString(modified.to(TimeUnit.NANOSECONDS));
    }
    CRC32C checksum = new CRC32C();
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      ByteBuffer sample = ByteBuffer.allocate(SAMPLE_BYTES);
      for (int i = 0; i < SAMPLES; i++) {
        sample.clear();
        int count = channel.read(sample, Math.max(0, sizeBytes - SAMPLE_BYTES) / SAMPLES * i);
        sample.flip();
        if (count > 0) {
          checksum.update(sample);
        }
      }
    }
    return "crc32c " + checksum.getValue();
  }
}
