// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.zip.CRC32C;

/// Brings a raw image, or a block device, up to date with deltas. Everything is checked before the
/// first byte is written. It may be interrupted at any time, and is then done again: what a delta
/// says does not depend on what was there. Used by one thread.
public final class Apply {
  private static final int BUFFER_BYTES = 1 << 20;

  private final List<Path> deltas;
  private final Path file;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);

  /// @param deltas at least one, the oldest first
  /// @param file the image as it was before the first of them
  public Apply(List<Path> deltas, Path file) {
    this.deltas = List.copyOf(deltas);
    this.file = file;
  }

  /// Applies all of them, and waits until the image is on stable storage.
  public Summary run() throws IOException {
    long startNanos = System.nanoTime();
    List<DeltaMap> maps = new ArrayList<>();
    for (Path delta : deltas) {
      maps.add(DeltaMap.read(DeltaMap.pathOf(delta)));
    }
    checkChain(maps);
    long dataBytes = 0;
    long zeroBytes = 0;
    try (RawImage image = RawImage.open(file, maps.getFirst().source().sizeBytes())) {
      for (int i = 0; i < deltas.size(); i++) {
        verify(deltas.get(i), maps.get(i));
      }
      for (int i = 0; i < deltas.size(); i++) {
        apply(deltas.get(i), maps.get(i), image);
        dataBytes += maps.get(i).dataBytes();
        zeroBytes += maps.get(i).zeroBytes();
      }
      image.sync();
    }
    return new Summary(deltas.size(), dataBytes, zeroBytes, System.nanoTime() - startNanos);
  }

  private void checkChain(List<DeltaMap> maps) throws CommandFailure {
    for (int i = 1; i < maps.size(); i++) {
      DeltaSource before = maps.get(i - 1).source();
      DeltaSource now = maps.get(i).source();
      boolean otherSize = before.sizeBytes() != now.sizeBytes();
      if (otherSize || differ(before.disk(), now.disk())) {
        throw new CommandFailure(
            ExitCode.USAGE,
            deltas.get(i)
                + ": is of another disk than "
                + deltas.get(i - 1)
                + ", "
                + described(now)
                + " and "
                + described(before)
                + ": give the deltas of one disk");
      }
      Optional<Instant> earlier = before.frozen();
      Optional<Instant> later = now.frozen();
      if (earlier.isPresent() && later.isPresent() && !later.get().isAfter(earlier.get())) {
        throw new CommandFailure(
            ExitCode.USAGE,
            deltas.get(i)
                + ": shows "
                + later.get()
                + ", which is not after "
                + deltas.get(i - 1)
                + " ("
                + earlier.get()
                + "): give the oldest first");
      }
    }
  }

  private static boolean differ(Optional<String> one, Optional<String> other) {
    return one.isPresent() && other.isPresent() && !one.equals(other);
  }

  private static String described(DeltaSource source) {
    return source.disk().orElse(source.export()) + " of " + ByteSize.format(source.sizeBytes());
  }

  private void verify(Path delta, DeltaMap map) throws IOException {
    try (FileChannel in = open(delta)) {
      if (in.size() != map.source().sizeBytes()) {
        throw notItsMap(delta, "its size is " + in.size() + " bytes");
      }
      for (DeltaExtent extent : map.extents()) {
        if (!extent.isZero()) {
          CRC32C crc = new CRC32C();
          copy(in, delta, extent, (_, data) -> crc.update(data));
          if ((int) crc.getValue() != extent.crc32c().getAsInt()) {
            throw notItsMap(delta, "other content at offset " + extent.offsetBytes());
          }
        }
      }
    }
  }

  private void apply(Path delta, DeltaMap map, RawImage image) throws IOException {
    try (FileChannel in = open(delta)) {
      for (DeltaExtent extent : map.extents()) {
        if (extent.isZero()) {
          image.zero(extent.offsetBytes(), extent.lengthBytes());
        } else {
          copy(in, delta, extent, image::write);
        }
      }
    }
  }

  private void copy(FileChannel in, Path delta, DeltaExtent extent, Sink sink) throws IOException {
    long at = extent.offsetBytes();
    while (at < extent.endBytes()) {
      buffer.clear().limit((int) Math.min(BUFFER_BYTES, extent.endBytes() - at));
      while (buffer.hasRemaining()) {
        if (in.read(buffer, at + buffer.position()) < 0) {
          throw notItsMap(delta, "it ends too early");
        }
      }
      buffer.flip();
      int lengthBytes = buffer.remaining();
      sink.take(at, buffer);
      at += lengthBytes;
    }
  }

  private static FileChannel open(Path delta) throws IOException {
    try {
      return FileChannel.open(delta, StandardOpenOption.READ);
    } catch (NoSuchFileException e) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND, delta + ": no such file: a delta is DELTA and DELTA.map", e);
    }
  }

  private static CommandFailure notItsMap(Path delta, String how) {
    return new CommandFailure(
        ExitCode.FAILED,
        delta
            + ": is not what its map says, "
            + how
            + ": nothing was applied: get both from another copy");
  }

  /// Whether two paths are one file.
  public static boolean isSame(Path one, Path other) throws IOException {
    return Files.exists(one) && Files.exists(other) && Files.isSameFile(one, other);
  }

  /// Takes a piece of an extent.
  private interface Sink {
    void take(long offsetBytes, ByteBuffer data) throws IOException;
  }

  /// What was done.
  public record Summary(int deltas, long dataBytes, long zeroBytes, long nanos) {}
}
