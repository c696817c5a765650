// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.cache.posix.FileOrigin;
import io.nbdfleece.cache.posix.LinuxFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.zip.CRC32C;

/// Of a raw file or a block device.
///
/// A file is told by its inode and when it was made, on a file system that is told if it has an
/// identifier; where it is not noted when files are made, by device and inode. Its content is told
/// by the time of its last change. A block device is told by what the system knows of it that does
/// not depend on the order in which devices were found (the identifier of a device-mapper or RAID
/// volume, a world-wide name, a serial number), else by its number; its content by its first and
/// last MiB.
///
/// **Threads.** Any thread. The methods do file I/O.
public final class FileDiskIdentity implements DiskIdentity {
  private static final int SAMPLE_BYTES = 1 << 20;

  /// In the order of preference, below the device's folder in sysfs.
  private static final List<String> NAMES =
      List.of("dm/uuid", "md/uuid", "wwid", "device/wwid", "device/serial", "serial");

  private static final int NAME_LENGTH_MAX = 256;

  /// Through which it is asked; of a disk that is served not its name, which may be another file's.
  private final Path path;

  private final LinuxFile.Kind kind;
  private final long sizeBytes;

  private FileDiskIdentity(Path path, LinuxFile.Kind kind, long sizeBytes) {
    this.path = path;
    this.kind = kind;
    this.sizeBytes = sizeBytes;
  }

  /// Of an open one, wherever it is moved to.
  ///
  /// @param file stays open as long as this is used
  public static FileDiskIdentity of(LinuxFile file) throws IOException {
    return of(file.descriptorPath());
  }

  /// Of what a path leads to, each time it is asked.
  public static FileDiskIdentity of(Path path) throws IOException {
    try (LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_ONLY)) {
      return switch (file.kind()) {
        case REGULAR, BLOCK -> new FileDiskIdentity(path, file.kind(), file.sizeBytes());
        case OTHER -> throw new IOException(path + " is neither a regular file nor a block device");
      };
    }
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public String identity() throws IOException {
    return switch (kind) {
      case REGULAR -> fileIdentity();
      case BLOCK -> "block " + blockIdentity();
      case OTHER -> throw new IllegalStateException("kind: OTHER");
    };
  }

  private String fileIdentity() throws IOException {
    FileOrigin origin = FileOrigin.of(path);
    if (origin.bornEpochNanos().isEmpty()) {
      return identityByDevice();
    }
    String system =
        origin.fileSystem().isPresent()
            ? " fs=" + Long.toHexString(origin.fileSystem().getAsLong())
            : "";
    return "file ino="
        + Files.getAttribute(path, "unix:ino")
        + " born="
        + origin.bornEpochNanos().getAsLong()
        + system;
  }

  private String identityByDevice() throws IOException {
    return "file dev="
        + Files.getAttribute(path, "unix:dev")
        + " ino="
        + Files.getAttribute(path, "unix:ino");
  }

  @Override
  public boolean wasKnownAs(String former) throws IOException {
    return kind == LinuxFile.Kind.REGULAR && former.equals(identityByDevice());
  }

  private String blockIdentity() throws IOException {
    long number = (Long) Files.getAttribute(path, "unix:rdev");
    // Layout of dev_t in glibc: 12 + 20 bits of major, 8 + 24 bits of minor, interleaved.
    long major = (number >>> 8 & 0xFFF) | (number >>> 32 & 0xFFFF_F000L);
    long minor = (number & 0xFF) | (number >>> 12 & 0xFFFF_FF00L);
    Path device = Path.of("/sys/dev/block/" + major + ":" + minor);
    String part = "";
    if (Files.exists(device.resolve("partition"))) {
      part = " start=" + readName(device.resolve("start"));
      device = device.toRealPath().resolve("..").normalize();
    }
    for (String each : NAMES) {
      String name = readName(device.resolve(each));
      if (!name.isEmpty()) {
        return each + "=" + name + part;
      }
    }
    return "rdev=" + major + ":" + minor + part;
  }

  /// Empty when there is none.
  private static String readName(Path path) {
    try {
      String text = Files.readString(path).strip();
      return text.length() <= NAME_LENGTH_MAX ? text : text.substring(0, NAME_LENGTH_MAX);
    } catch (IOException _) {
      return "";
    }
  }

  @Override
  public String stamp() throws IOException {
    return switch (kind) {
      case REGULAR -> "modified=" + modified();
      case BLOCK -> "sample=" + Integer.toHexString(sample());
      case OTHER -> throw new IllegalStateException("kind: OTHER");
    };
  }

  @Override
  public OptionalLong modifiedEpochNanos() throws IOException {
    return kind == LinuxFile.Kind.REGULAR ? OptionalLong.of(modified()) : OptionalLong.empty();
  }

  private long modified() throws IOException {
    return LinuxHost.epochNanos(Files.getLastModifiedTime(path).toInstant());
  }

  private int sample() throws IOException {
    CRC32C crc = new CRC32C();
    try (LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_ONLY)) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(SAMPLE_BYTES);
      sample(file, 0, buffer, crc);
      sample(file, Math.max(0, sizeBytes - SAMPLE_BYTES), buffer, crc);
    }
    return (int) crc.getValue();
  }

  private void sample(LinuxFile file, long startBytes, ByteBuffer buffer, CRC32C crc)
      throws IOException {
    buffer.clear().limit((int) Math.min(SAMPLE_BYTES, sizeBytes - startBytes));
    while (buffer.hasRemaining()) {
      if (file.read(buffer, startBytes + buffer.position()) == 0) {
        throw new IOException(path + " became shorter than " + sizeBytes + " bytes");
      }
    }
    crc.update(buffer.flip());
  }

  @Override
  public void sync() throws IOException {
    try (LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_ONLY)) {
      file.sync();
    }
  }
}
