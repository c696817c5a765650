// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.AsyncFile;
import io.nbdfleece.cache.posix.CutWatch;
import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.FileSender;
import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cache.posix.NameWatch;
import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/// A raw file or a block device. Reads and writes go through the page cache: inline when they need
/// not wait, else on a worker. Zeroing and discarding punch holes, so that the space is free for
/// real.
public final class FileNode implements BlockNode {
  /// How much one hint reads ahead.
  private static final long CACHE_BYTES_MAX = 32L << 20;

  private final LinuxFile file;
  private final AsyncFile async;
  private final FileSender sender;
  private final CutWatch watch;
  private final NameWatch name;
  private final StatusCache statuses = new StatusCache(System::nanoTime);
  private final long sizeBytes;
  private final int logicalBlockBytes;
  private final boolean writable;

  /// When it had been written to last; only when it is served read-only.
  private final Optional<FileTime> openedModified;

  /// The same when it was asked last.
  private final AtomicReference<Optional<FileTime>> askedModified;

  /// A hint is being followed. Others are not meanwhile: reading ahead waits while the device's
  /// queue is full, and must not take all workers from those who need their data now.
  private final AtomicBoolean readingAhead = new AtomicBoolean();

  private FileNode(LinuxFile file, Executor workers, boolean writable) throws IOException {
    this.file = file;
    this.watch = CutWatch.of(file);
    this.name = new NameWatch(file);
    this.sender = new FileSender(file, watch);
    this.writable = writable;
    this.sizeBytes = file.sizeBytes();
    this.logicalBlockBytes = file.logicalBlockBytes();
    this.openedModified = modified();
    this.askedModified = new AtomicReference<>(openedModified);
    this.async = new AsyncFile(file, workers, watch); // last: it has to be closed
  }

  /// Opens and locks. The lock is QEMU's, so that QEMU, its tools and we exclude one another.
  ///
  /// @throws IOException when it is neither a raw file nor a block device, or as the system says
  /// @throws io.nbdfleece.cache.posix.ImageInUseException when another process uses it
  public static FileNode open(Path path, LinuxFile.Access access, Executor workers)
      throws IOException {
    if (Files.isDirectory(path)) {
      throw new IOException(path + " is a directory: name a raw file or a block device");
    }
    LinuxFile file = openFile(path, access);
    try {
      if (file.kind() == LinuxFile.Kind.OTHER) {
        throw new IOException(
            path + " is neither a regular file nor a block device: name one of these");
      }
      ImageLock.acquire(file, access); // held until the file is closed
      return new FileNode(file, workers, access == LinuxFile.Access.READ_WRITE);
    } catch (IOException | RuntimeException e) {
      try {
        file.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      throw e;
    }
  }

  private static LinuxFile openFile(Path path, LinuxFile.Access access) throws IOException {
    try {
      return LinuxFile.open(path, access);
    } catch (PosixException e) {
      if (e.errno() != Errno.EACCES && e.errno() != Errno.EPERM && e.errno() != Errno.EROFS) {
        throw e;
      }
      String advice =
          switch (access) {
            case READ_WRITE -> ": let our user read and write it, or serve it with --read-only";
            case READ_ONLY -> ": let our user read it";
          };
      throw new IOException(e.getMessage() + advice, e);
    }
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public Set<NodeAbility> abilities() {
    return writable ? EnumSet.allOf(NodeAbility.class) : EnumSet.of(NodeAbility.FLUSH);
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    async.read(offsetBytes, target, done);
  }

  @Override
  public void read(long offsetBytes, List<ByteBuffer> targets, Completion done) {
    async.read(offsetBytes, targets, done);
  }

  @Override
  public Optional<FileSender> sender(long offsetBytes, int lengthBytes) {
    try {
      return sender.isReady(offsetBytes, lengthBytes)
              && !watch.isLost(offsetBytes, offsetBytes + lengthBytes)
          ? Optional.of(sender)
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty(); // reading tells why
    }
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    Completion changed = new Changed(mutation, done);
    switch (mutation) {
      case Mutation.Write(long offsetBytes, ByteBuffer data, Mutation.Durability durability) -> {
        switch (durability) {
          case CACHED -> async.write(offsetBytes, data, changed);
          case DURABLE -> async.writeDurable(offsetBytes, data, changed);
        }
      }
      case Mutation.Zero zero ->
          async.callLocking(() -> zero(zero), synced(zero.durability(), changed));
      case Mutation.Discard discard ->
          async.callLocking(() -> discard(discard), synced(discard.durability(), changed));
    }
  }

  /// Before anybody hears of the end of a change, however it ended, what was known of the status
  /// there is forgotten.
  private final class Changed implements Completion {
    private final long startBytes;
    private final long endBytes;
    private final Completion done;

    Changed(Mutation mutation, Completion done) {
      startBytes = mutation.offsetBytes();
      endBytes = startBytes + mutation.lengthBytes();
      this.done = done;
    }

    @Override
    public void succeeded() {
      statuses.changed(startBytes, endBytes);
      done.succeeded();
    }

    @Override
    public void failed(IOException error) {
      statuses.changed(startBytes, endBytes);
      done.failed(error);
    }
  }

  private Completion synced(Mutation.Durability durability, Completion done) {
    return switch (durability) {
      case CACHED -> done;
      case DURABLE ->
          new Completion() {
            @Override
            public void succeeded() {
              async.dataSync(done);
            }

            @Override
            public void failed(IOException error) {
              done.failed(error);
            }
          };
    };
  }

  private void zero(Mutation.Zero zero) throws IOException {
    switch (zero.speed()) {
      case ANY -> zeroSomehow(zero);
      case FAST_ONLY -> zeroFast(zero);
    }
  }

  /* In one call, so that a refusal has changed nothing. A block device that has to keep its space
   * is zeroed by writing, inside of the kernel, where it knows no better; so that is not tried. */
  private void zeroFast(Mutation.Zero zero) throws IOException {
    boolean mayPunch = zero.provisioning() == Mutation.Provisioning.MAY_PUNCH;
    if (file.kind() == LinuxFile.Kind.BLOCK
        && !(mayPunch
            && zero.offsetBytes() % logicalBlockBytes == 0
            && zero.lengthBytes() % logicalBlockBytes == 0)) {
      throw new NotFastException(file.path() + ": zeroing here may mean writing");
    }
    try {
      if (mayPunch) {
        file.punchHole(zero.offsetBytes(), zero.lengthBytes());
      } else {
        file.zeroRange(zero.offsetBytes(), zero.lengthBytes());
      }
    } catch (PosixException e) {
      if (e.isUnsupported() || e.errno() == Errno.EINVAL) {
        throw new NotFastException(file.path() + " cannot be zeroed fast", e);
      }
      throw e;
    }
  }

  private void zeroSomehow(Mutation.Zero zero) throws IOException {
    long start = zero.offsetBytes();
    long end = start + zero.lengthBytes();
    // A block device takes whole blocks only; what sticks out is written.
    long wholeStart = roundUp(start);
    long wholeEnd = end == sizeBytes ? end : end - end % logicalBlockBytes;
    if (wholeStart >= wholeEnd) {
      writeZeroes(start, end);
      return;
    }
    writeZeroes(start, wholeStart);
    writeZeroes(wholeEnd, end);
    try {
      switch (zero.provisioning()) {
        case MAY_PUNCH -> file.punchHole(wholeStart, wholeEnd - wholeStart);
        case KEEP -> file.zeroRange(wholeStart, wholeEnd - wholeStart);
      }
    } catch (PosixException e) {
      if (!e.isUnsupported() && e.errno() != Errno.EINVAL) {
        throw e;
      }
      writeZeroes(wholeStart, wholeEnd);
    }
  }

  private void discard(Mutation.Discard discard) throws IOException {
    long start = roundUp(discard.offsetBytes());
    long end = discard.offsetBytes() + discard.lengthBytes();
    end = end == sizeBytes ? end : end - end % logicalBlockBytes;
    if (start >= end) {
      return; // a hint; less than a block cannot be freed
    }
    try {
      file.punchHole(start, end - start);
    } catch (PosixException e) {
      if (!e.isUnsupported() && e.errno() != Errno.EINVAL) {
        throw e;
      }
      // A hint: where nothing can be freed, nothing is.
    }
  }

  private long roundUp(long offsetBytes) {
    return (offsetBytes + logicalBlockBytes - 1) / logicalBlockBytes * logicalBlockBytes;
  }

  private void writeZeroes(long startBytes, long endBytes) throws IOException {
    if (startBytes >= endBytes) {
      return;
    }
    watch.look(); // this may make the file longer
    ByteBuffer zeroes = ByteBuffer.allocateDirect((int) Math.min(endBytes - startBytes, 1 << 20));
    long position = startBytes;
    while (position < endBytes) {
      zeroes.clear().limit((int) Math.min(endBytes - position, zeroes.capacity()));
      position += file.write(zeroes, position);
    }
  }

  @Override
  public void flush(Completion done) {
    if (writable) {
      async.dataSync(done);
    } else {
      done.succeeded();
    }
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    if (file.neverWaits() || !readingAhead.compareAndSet(false, true)) {
      done.succeeded();
      return;
    }
    async.call(
        () -> file.readAhead(offsetBytes, Math.min(lengthBytes, CACHE_BYTES_MAX)),
        new Completion() {
          @Override
          public void succeeded() {
            readingAhead.set(false);
            done.succeeded();
          }

          @Override
          public void failed(IOException error) {
            readingAhead.set(false);
            done.failed(error);
          }
        });
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    Optional<BlockExtent> known = statuses.at(offsetBytes, lengthBytes);
    if (known.isPresent()
        && (known.get().lengthBytes() == lengthBytes || extentsMax == 1)
        && offsetBytes + lengthBytes <= watch.lostFromBytes()) {
      done.succeeded(List.of(known.get()));
      return;
    }
    List<BlockExtent> extents = new ArrayList<>();
    async.call(
        () ->
            seek(
                offsetBytes,
                Math.addExact(offsetBytes, lengthBytes),
                Math.min(extentsMax, EXTENTS_PER_ANSWER_MAX),
                extents),
        new Completion() {
          @Override
          public void succeeded() {
            done.succeeded(extents);
          }

          @Override
          public void failed(IOException error) {
            done.failed(error);
          }
        });
  }

  /* What is lost counts as data: whoever reads it is told so, and nobody takes it for zeroes. */
  private void seek(long startBytes, long endBytes, int extentsMax, List<BlockExtent> extents)
      throws IOException {
    long wholeEnd;
    long nowWholeEnd = wholeEnd(startBytes, endBytes);
    do {
      wholeEnd = nowWholeEnd;
      extents.clear();
      seekWhole(startBytes, wholeEnd, extentsMax, extents);
      nowWholeEnd = wholeEnd(startBytes, endBytes);
    } while (nowWholeEnd < wholeEnd);
    if (wholeEnd < endBytes && extents.size() < extentsMax) {
      BlockExtent.append(extents, endBytes - wholeEnd, State.DATA);
    }
  }

  private long wholeEnd(long startBytes, long endBytes) {
    return Math.clamp(watch.lostFromBytes(), startBytes, endBytes);
  }

  private void seekWhole(long startBytes, long endBytes, int extentsMax, List<BlockExtent> extents)
      throws IOException {
    StatusCache.Walk walk = statuses.walk();
    long position = startBytes;
    while (position < endBytes && extents.size() < extentsMax) {
      walk.asks(position);
      long data = file.seekData(position);
      if (data == LinuxFile.NONE) {
        watch.look();
        if (watch.lostFromBytes() < endBytes) {
          return; // the caller asks again, for less
        }
        if (file.sizeBytes() < endBytes) {
          throw new IOException(
              file.path() + " has become shorter than the disk: " + sizeBytes + " bytes expected");
        }
      }
      if (writable) { // else another program may write: our lock lets it
        walk.found(data == LinuxFile.NONE ? sizeBytes : data, State.HOLE);
      }
      long dataStart = data == LinuxFile.NONE ? endBytes : Math.min(data, endBytes);
      BlockExtent.append(extents, dataStart - position, State.HOLE);
      position = dataStart;
      if (position < endBytes && extents.size() < extentsMax) {
        walk.asks(position);
        long hole = file.seekHole(position);
        walk.found(hole == LinuxFile.NONE ? position : hole, State.DATA);
        long dataEnd = hole == LinuxFile.NONE ? endBytes : Math.min(hole, endBytes);
        BlockExtent.append(extents, dataEnd - position, State.DATA);
        position = dataEnd;
      }
    }
  }

  /// The file, open and locked until the node is closed.
  public LinuxFile file() {
    return file;
  }

  /// Whether another program has written to a file that is served read-only, as our lock lets it.
  /// Of a block device that is not known.
  public boolean changedByOthers() throws IOException {
    if (openedModified.isEmpty()) {
      return false;
    }
    boolean changed = !openedModified.equals(modified());
    file.sizeBytes(); // fails when it has been closed: then the descriptor may be another file's
    return changed;
  }

  /// The same since this was asked last.
  public boolean changedByOthersSince() throws IOException {
    if (openedModified.isEmpty()) {
      return false;
    }
    Optional<FileTime> now = modified();
    file.sizeBytes(); // as above
    return !askedModified.getAndSet(now).equals(now);
  }

  private Optional<FileTime> modified() throws IOException {
    return !writable && file.kind() == LinuxFile.Kind.REGULAR
        ? Optional.of(Files.getLastModifiedTime(file.descriptorPath()))
        : Optional.empty();
  }

  @Override
  public Optional<String> damage() throws IOException {
    watch.look();
    return watch.damage();
  }

  /// As [NameWatch#displacement].
  public Optional<String> displacement() throws IOException {
    return name.displacement();
  }

  /// Makes durable what was written, and closes.
  @Override
  public void close() throws IOException {
    try (file;
        async) {
      if (writable) {
        async.dataSync();
      }
    }
  }
}
