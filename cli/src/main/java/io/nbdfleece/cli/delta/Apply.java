// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/// Brings a raw image, or a block device, up to date with deltas. Everything is checked before the
/// first byte is written. It may be interrupted at any time, and is then done again: what a delta
/// says does not depend on what was there. `FILE.point` tells which point in time a file shows, so
/// that deltas which do not follow it are refused. Used by one thread.
public final class Apply {
  private static final int BUFFER_BYTES = 1 << 20;

  private final List<Path> deltas;
  private final Path file;
  private final Fit fit;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);

  /// @param deltas at least one, the oldest first
  /// @param file the image as it was before the first of them
  public Apply(List<Path> deltas, Path file, Fit fit) {
    this.deltas = List.copyOf(deltas);
    this.file = file;
    this.fit = fit;
  }

  /// Whether what `FILE.point` says of the file matters.
  public enum Fit {
    CHECKED,
    /// The user vouches that they go with the file.
    ASSUMED
  }

  /// Applies all of them, and waits until the image is on stable storage.
  ///
  /// @param warnings gets what could not be checked, before anything is written
  public Summary run(Consumer<String> warnings) throws IOException {
    long startNanos = System.nanoTime();
    checkNoDelta();
    List<DeltaMap> maps = new ArrayList<>();
    for (Path delta : deltas) {
      maps.add(DeltaMap.read(DeltaMap.pathOf(delta)));
    }
    DeltaChain chain = DeltaChain.of(deltas, maps.stream().map(DeltaMap::source).toList());
    try (RawImage image = RawImage.open(file, maps.getFirst().source().sizeBytes())) {
      Path real = file.toRealPath();
      Optional<ImagePoint> point = point(chain, real, image.isDevice(), warnings);
      for (int i = 0; i < deltas.size(); i++) {
        verify(deltas.get(i), maps.get(i));
      }
      point = noteBegin(point, chain, real, warnings);
      for (int i = 0; i < deltas.size(); i++) {
        apply(deltas.get(i), maps.get(i), image);
      }
      image.sync();
      if (point.isPresent()) {
        point.get().past(chain.from(), chain.reached()).write(real);
      }
    }
    return new Summary(
        deltas.size(),
        maps.stream().mapToLong(DeltaMap::dataBytes).sum(),
        maps.stream().mapToLong(DeltaMap::zeroBytes).sum(),
        System.nanoTime() - startNanos);
  }

  /// Who forgets FILE names a delta last.
  private void checkNoDelta() throws IOException {
    Path map = DeltaMap.pathOf(Files.exists(file) ? file.toRealPath() : file);
    if (Files.exists(map)) {
      throw new CommandFailure(
          ExitCode.USAGE,
          file
              + ": is a delta ("
              + map
              + " is there): name the copy of the full backup last; move that map away if it is"
              + " none");
    }
  }

  /// What the image shows, after a look whether the deltas follow that; empty if nobody can tell.
  private Optional<ImagePoint> point(
      DeltaChain chain, Path real, boolean device, Consumer<String> warnings) throws IOException {
    List<Path> silent = chain.silent();
    if (!silent.isEmpty()) {
      warnings.accept(
          silent.getFirst()
              + " does not tell where it begins (only those since a checkpoint of nbdfleece do):"
              + " whether "
              + file
              + " has what came before is not checked");
      return Optional.empty();
    }
    ImagePoint assumed = new ImagePoint(List.of(chain.from()), Optional.empty());
    if (device) {
      warnings.accept(file + " is a device: whether it shows " + chain.from() + " is not checked");
      return Optional.empty();
    }
    if (fit == Fit.ASSUMED) {
      return Optional.of(assumed);
    }
    Optional<ImagePoint> noted = ImagePoint.read(real);
    if (noted.isPresent()) {
      chain.checkFits(file, noted.get());
      return noted;
    }
    warnings.accept(
        "there is no "
            + ImagePoint.pathOf(real)
            + " (copy it with the full backup): whether "
            + file
            + " shows "
            + chain.from()
            + " is not checked");
    return Optional.of(assumed);
  }

  /// Notes that the image is about to change, or that nobody can tell any more what it shows.
  ///
  /// @return empty when nothing was noted before, and cannot be now
  private static Optional<ImagePoint> noteBegin(
      Optional<ImagePoint> point, DeltaChain chain, Path real, Consumer<String> warnings)
      throws IOException {
    if (point.isEmpty()) {
      ImagePoint.remove(real);
      return point;
    }
    try {
      point.get().towards(chain.from(), chain.reached()).write(real);
      return point;
    } catch (IOException e) {
      if (Files.exists(ImagePoint.pathOf(real))) {
        throw e;
      }
      warnings.accept(
          ImagePoint.pathOf(real)
              + ": cannot be written ("
              + Messages.of(e)
              + "): what is applied now is not known to later calls");
      return Optional.empty();
    }
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
