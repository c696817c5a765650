// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.cache.posix.CopyOnWrite;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cache.posix.PosixException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;

/// The files of a folder of the file system.
final class FolderFiles implements StateFiles {
  private static final int BUFFER_BYTES = 1 << 20;

  private final Path folder;

  FolderFiles(Path folder) {
    this.folder = folder;
  }

  @Override
  public List<String> names() throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(each -> String.valueOf(each.getFileName())).sorted().toList();
    } catch (UncheckedIOException e) {
      throw new IOException("cannot list " + folder, e);
    }
  }

  @Override
  public byte[] read(String name, long bytesMax) throws IOException {
    Path path = folder.resolve(name);
    long sizeBytes = Files.size(path);
    if (sizeBytes > bytesMax) {
      throw new IOException(
          path + " is too long: " + sizeBytes + " bytes (limit: " + bytesMax + ")");
    }
    byte[] content = new byte[(int) sizeBytes];
    try (LinuxFile file = LinuxFile.open(path, LinuxFile.Access.READ_ONLY)) {
      ByteBuffer buffer = ByteBuffer.allocateDirect((int) Math.min(sizeBytes, BUFFER_BYTES));
      int position = 0;
      while (position < content.length) {
        buffer.clear().limit(Math.min(buffer.capacity(), content.length - position));
        int count = file.read(buffer, position);
        if (count == 0) {
          throw new IOException(path + " became shorter while it was read");
        }
        buffer.flip().get(content, position, count);
        position += count;
      }
    }
    return content;
  }

  @Override
  public void write(String name, byte[] content) throws IOException {
    delete(name);
    try (LinuxFile file = create(folder.resolve(name))) {
      put(file, 0, content);
      file.sync();
    }
  }

  /// What is written in place later must need no more space then.
  private static LinuxFile create(Path path) throws IOException {
    LinuxFile file = LinuxFile.create(path);
    try {
      CopyOnWrite.avoid(file);
      return file;
    } catch (IOException e) {
      file.close();
      throw e;
    }
  }

  private static void put(LinuxFile file, long offsetBytes, byte[] content) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocateDirect(Math.min(content.length, BUFFER_BYTES));
    int position = 0;
    while (position < content.length) {
      int count = Math.min(buffer.capacity(), content.length - position);
      buffer.clear().put(content, position, count).flip();
      while (buffer.hasRemaining()) {
        position += file.write(buffer, offsetBytes + position);
      }
    }
  }

  @Override
  public MappedFile createMapped(String name, long sizeBytes, byte[] head) throws IOException {
    Path path = folder.resolve(name);
    try (LinuxFile file = create(path)) {
      allocate(file, sizeBytes);
      put(file, 0, head);
      file.sync();
    } catch (IOException | RuntimeException e) {
      try {
        Files.deleteIfExists(path);
      } catch (IOException deleting) {
        e.addSuppressed(deleting);
      }
      throw e;
    }
    return map(name, sizeBytes);
  }

  /// A store into a mapped page for which the file system finds no space would be a fault of the
  /// process, so space must be there before.
  private static void allocate(LinuxFile file, long sizeBytes) throws IOException {
    try {
      file.preallocate(sizeBytes);
    } catch (PosixException e) {
      if (!e.isUnsupported()) {
        throw e;
      }
      byte[] zeroes = new byte[(int) Math.min(sizeBytes, BUFFER_BYTES)];
      for (long at = 0; at < sizeBytes; at += zeroes.length) {
        put(file, Math.min(at, sizeBytes - zeroes.length), zeroes);
      }
    }
  }

  @Override
  public MappedFile map(String name, long sizeBytes) throws IOException {
    Path path = folder.resolve(name);
    Arena arena = Arena.ofShared();
    try (FileChannel channel =
        FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      if (channel.size() != sizeBytes) {
        throw new IOException(
            path + ": size: " + channel.size() + " bytes (expected: " + sizeBytes + ")");
      }
      return new Mapping(path, arena, channel.map(MapMode.READ_WRITE, 0, sizeBytes, arena));
    } catch (IOException | RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  @Override
  public PatchedFile patch(String name) throws IOException {
    return new Patched(LinuxFile.open(folder.resolve(name), LinuxFile.Access.READ_WRITE));
  }

  @Override
  public void rename(String from, String to) throws IOException {
    Files.move(folder.resolve(from), folder.resolve(to), StandardCopyOption.ATOMIC_MOVE);
  }

  @Override
  public void delete(String name) throws IOException {
    Files.deleteIfExists(folder.resolve(name));
  }

  @Override
  public void forceNames() throws IOException {
    forceNames(folder);
  }

  static void forceNames(Path folder) throws IOException {
    try (LinuxFile directory = LinuxFile.open(folder, LinuxFile.Access.READ_ONLY)) {
      directory.sync();
    }
  }

  private record Mapping(Path path, Arena arena, MemorySegment memory) implements MappedFile {
    @Override
    public void force() throws IOException {
      try {
        memory.force();
      } catch (UncheckedIOException e) {
        throw new IOException("cannot make " + path + " durable", e);
      }
    }

    @Override
    public void close() {
      if (arena.scope().isAlive()) {
        arena.close();
      }
    }
  }

  private record Patched(LinuxFile file) implements PatchedFile {
    @Override
    public void write(long offsetBytes, byte[] content) throws IOException {
      put(file, offsetBytes, content);
    }

    @Override
    public void force() throws IOException {
      file.dataSync();
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}
