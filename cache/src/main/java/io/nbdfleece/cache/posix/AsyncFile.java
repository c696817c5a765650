// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/// A file whose operations never make the calling thread wait for a device: they end inside the
/// call when they can, and are short, and on a worker thread else.
///
/// **Threads.** Any thread may call anything at any time. Buffers must be direct and belong to the
/// operation until its [Completion] is called; their position moves.
///
/// The caller owns the [LinuxFile] and closes it, after this.
public final class AsyncFile implements AutoCloseable {
  /* How a write is kept from making an event loop wait, when the kernel has no buffered write that
   * refuses to (RWF_NOWAIT is not supported for that by ext4):
   *
   * A buffered write waits for two things. One is reading a page that it covers in part: we look
   * first whether that page is in the cache. The other is throttling, when too many pages are
   * dirty, and that cannot be asked for. So we measure: as long as inline writes are fast they
   * stay inline; after a slow one all writes go to workers for a while, then one tries again.
   *
   * A long one does not wait either, but copying it takes so much longer than a change of threads
   * that it is better done on a worker: the caller receives the next one meanwhile. After a long
   * read one long write may follow on the same worker, the one that the old content was read for;
   * not more, because what else its end sets going may be about other disks.
   */

  /// As long as this, and it goes to a worker.
  static final int LONG_BYTES = 256 << 10;

  /// An inline write slower than this, plus a nanosecond for each byte, sends later ones to
  /// workers.
  static final long SLOW_WRITE_NANOS = 2_000_000;

  /// For how long.
  static final long SLOW_PERIOD_NANOS = 250_000_000;

  private static final int PAGE_BYTES = 4096;
  private static final int ZEROES_BYTES = 1 << 20;

  /// Whether the thread is a worker that has just made a long read.
  private static final ThreadLocal<Boolean> LONG_WRITE_MAY_FOLLOW =
      ThreadLocal.withInitial(() -> false);

  private final LinuxFile file;
  private final Executor workers;
  private final LongSupplier nanoClock;

  /// The file opened once more, only to sync it. Linux tells each descriptor once of a write-back
  /// that has failed (fsync(2), since Linux 4.13), and some file systems tell a write, also one
  /// that is not durable: here a sync is always the first to hear of it.
  private final LinuxFile syncs;

  private final DataSync sync;
  private final CutWatch watch;

  /// Calls under way that the file system locks the file for.
  private final AtomicInteger locking = new AtomicInteger();

  /// The size at open, or up to where we have written since. Nothing below may be missing.
  private final AtomicLong sizeBytes;

  /// When inline writes may be tried again, by `nanoClock`; only read while `slow`.
  private volatile long slowUntilNanos;

  private volatile boolean slow;

  /// @param workers where operations go that have to wait
  public AsyncFile(LinuxFile file, Executor workers) throws IOException {
    this(file, workers, System::nanoTime);
  }

  /// @param nanoClock like [System#nanoTime]
  public AsyncFile(LinuxFile file, Executor workers, LongSupplier nanoClock) throws IOException {
    this(file, workers, nanoClock, CutWatch.none(file));
  }

  /// With somebody who has to know when the file is cut.
  public AsyncFile(LinuxFile file, Executor workers, CutWatch watch) throws IOException {
    this(file, workers, System::nanoTime, watch);
  }

  private AsyncFile(LinuxFile file, Executor workers, LongSupplier nanoClock, CutWatch watch)
      throws IOException {
    this.file = file;
    this.workers = workers;
    this.nanoClock = nanoClock;
    this.watch = watch;
    this.sizeBytes = new AtomicLong(file.sizeBytes());
    this.syncs = LinuxFile.open(file.descriptorPath(), Access.READ_ONLY);
    this.sync = new DataSync(syncs::dataSync, file.neverWaits() ? Runnable::run : workers);
  }

  /// The file below.
  public LinuxFile file() {
    return file;
  }

  /// Fills `target`. Behind the end of the file it reads zeroes, so that a disk may be a little
  /// larger than its file; fails when the file has become shorter than it was.
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    long position = offsetBytes;
    try {
      while (target.hasRemaining()) {
        int count =
            file.neverWaits() ? file.read(target, position) : file.readNoWait(target, position);
        if (count < 0) {
          long rest = position;
          call(() -> readRest(offsetBytes, rest, target), done);
          return;
        }
        if (count == 0) {
          zeroFill(position, target);
        }
        position += count;
      }
      watch.requireKept(offsetBytes, position);
    } catch (IOException e) {
      done.failed(e);
      return;
    }
    done.succeeded();
  }

  /// As the one above, of several buffers one after the other. What is long, or not all in memory,
  /// is read on a worker, ahead first, so that the device has it all to do at once.
  public void read(long offsetBytes, List<ByteBuffer> targets, Completion done) {
    int lengthBytes = 0;
    for (ByteBuffer target : targets) {
      lengthBytes += target.remaining();
    }
    long endBytes = offsetBytes + lengthBytes;
    if (lengthBytes >= LONG_BYTES) {
      call(() -> readLong(offsetBytes, endBytes, targets), new BeforeLongWrite(done));
      return;
    }
    try {
      int count = file.readNoWait(targets, offsetBytes);
      if (count < lengthBytes) {
        long rest = offsetBytes + Math.max(0, count);
        call(() -> readRest(offsetBytes, rest, endBytes, targets), done);
        return;
      }
      watch.requireKept(offsetBytes, endBytes);
    } catch (IOException e) {
      done.failed(e);
      return;
    }
    done.succeeded();
  }

  /// Writes what remains of `data`.
  public void write(long offsetBytes, ByteBuffer data, Completion done) {
    try {
      if (!mayWriteInline(offsetBytes, data.remaining())) {
        call(() -> writeAll(offsetBytes, data, watch.beforeWrite(nanoClock)), done);
        return;
      }
      int lengthBytes = data.remaining();
      long began = nanoClock.getAsLong();
      writeAll(offsetBytes, data, watch.beforeWrite(began));
      long now = nanoClock.getAsLong();
      if (lengthBytes < LONG_BYTES && now - began > SLOW_WRITE_NANOS + lengthBytes) {
        slowUntilNanos = now + SLOW_PERIOD_NANOS;
        slow = true;
      }
    } catch (IOException e) {
      done.failed(e);
      return;
    }
    done.succeeded();
  }

  /// Like [#write], and the bytes are on stable storage at the end. Fails for ever after a sync has
  /// failed.
  public void writeDurable(long offsetBytes, ByteBuffer data, Completion done) {
    DurableWrite write = new DurableWrite(offsetBytes, data, done);
    call(write, write);
  }

  /// At the end every write that ended before this call is on stable storage. Fails for ever, with
  /// the first error's text, after a sync has failed.
  public void dataSync(Completion done) {
    sync.request(done);
  }

  /// As the other one, but makes the caller wait. When nothing is under way any more.
  public void dataSync() throws IOException {
    sync.check(); // a sync after a failed one may succeed and prove nothing
    syncs.dataSync();
  }

  /// When nothing is under way any more. Leaves the [LinuxFile] open.
  @Override
  public void close() throws IOException {
    syncs.close();
  }

  /// See [LinuxFile#punchHole].
  public void punchHole(long offsetBytes, long lengthBytes, Completion done) {
    callLocking(() -> file.punchHole(offsetBytes, lengthBytes), done);
  }

  /// See [LinuxFile#zeroRange]; fails with a [PosixException] that `isUnsupported` where the file
  /// system cannot.
  public void zeroRange(long offsetBytes, long lengthBytes, Completion done) {
    callLocking(() -> file.zeroRange(offsetBytes, lengthBytes), done);
  }

  /// Like [#zeroRange], and writes zeroes where the file system has no faster way.
  public void writeZeroes(long offsetBytes, long lengthBytes, Completion done) {
    call(() -> writeAllZeroes(offsetBytes, lengthBytes), done);
  }

  /// Runs on a worker what the file system locks the file for: holes, zeroes. Meanwhile small
  /// writes go to a worker as well.
  public void callLocking(BlockingCall work, Completion done) {
    call(
        () -> {
          locking.incrementAndGet();
          try {
            work.run();
          } finally {
            locking.decrementAndGet();
          }
        },
        done);
  }

  /// Runs anything on a worker.
  public void call(BlockingCall work, Completion done) {
    try {
      workers.execute(() -> runAndComplete(work, done));
    } catch (RejectedExecutionException e) {
      done.failed(new IOException("the I/O workers are closed: " + file.path(), e));
    } catch (OutOfMemoryError noThread) {
      done.failed(new IOException("no thread for I/O: " + file.path(), noThread));
    }
  }

  private static void runAndComplete(BlockingCall work, Completion done) {
    try {
      work.run();
    } catch (IOException e) {
      done.failed(e);
      return;
    } catch (RuntimeException | Error e) {
      // Whoever waits must hear of it, else it waits for ever.
      done.failed(new IOException("internal error: " + e, e));
      return;
    }
    done.succeeded();
  }

  private boolean mayWriteInline(long offsetBytes, int lengthBytes) throws IOException {
    if (lengthBytes >= LONG_BYTES) {
      if (!LONG_WRITE_MAY_FOLLOW.get()) {
        return false;
      }
      LONG_WRITE_MAY_FOLLOW.set(false);
    }
    if (slow) {
      if (nanoClock.getAsLong() - slowUntilNanos < 0) {
        return false;
      }
      slow = false;
    }
    return file.neverWaits()
        || (locking.get() == 0
            && isReadyForPart(offsetBytes)
            && (isWithinPage(offsetBytes, lengthBytes)
                || isReadyForPart(offsetBytes + lengthBytes)));
  }

  /// Whether it begins and ends inside of one page, so that one look at that page tells.
  private static boolean isWithinPage(long offsetBytes, int lengthBytes) {
    int startInPage = (int) (offsetBytes % PAGE_BYTES);
    return startInPage != 0 && startInPage + lengthBytes <= PAGE_BYTES;
  }

  /// Whether a write that begins or ends at `edgeBytes` need not read the page there.
  private boolean isReadyForPart(long edgeBytes) throws IOException {
    return edgeBytes % PAGE_BYTES == 0 || file.probeNoWait(edgeBytes) >= 0;
  }

  private void readLong(long offsetBytes, long endBytes, List<ByteBuffer> targets)
      throws IOException {
    long rest = offsetBytes + Math.max(0, file.readNoWait(targets, offsetBytes));
    readRest(offsetBytes, rest, endBytes, targets);
  }

  /// What lies before `restBytes` is read already.
  private void readRest(long offsetBytes, long restBytes, long endBytes, List<ByteBuffer> targets)
      throws IOException {
    if (restBytes < endBytes) {
      file.readAhead(restBytes, endBytes - restBytes);
    }
    long position = restBytes;
    for (ByteBuffer target : targets) {
      int lengthBytes = target.remaining();
      readAll(position, target);
      position += lengthBytes;
    }
    watch.requireKept(offsetBytes, endBytes);
  }

  private void readRest(long offsetBytes, long restBytes, ByteBuffer target) throws IOException {
    long endBytes = restBytes + target.remaining();
    readAll(restBytes, target);
    watch.requireKept(offsetBytes, endBytes);
  }

  private void readAll(long offsetBytes, ByteBuffer target) throws IOException {
    long position = offsetBytes;
    while (target.hasRemaining()) {
      int count = file.read(target, position);
      if (count == 0) {
        zeroFill(position, target);
      }
      position += count;
    }
  }

  private void zeroFill(long endBytes, ByteBuffer target) throws IOException {
    long expected = sizeBytes.get();
    if (endBytes < expected) {
      watch.metEnd(endBytes);
      watch.requireKept(endBytes, endBytes + 1);
      throw new IOException(
          "file was truncated while open: "
              + file.path()
              + " ends at "
              + endBytes
              + " (expected: "
              + expected
              + ")");
    }
    while (target.remaining() >= Long.BYTES) {
      target.putLong(0);
    }
    while (target.hasRemaining()) {
      target.put((byte) 0);
    }
  }

  private void writeAll(long offsetBytes, ByteBuffer data, int cuts) throws IOException {
    long position = offsetBytes;
    while (data.hasRemaining()) {
      position += file.write(data, position);
    }
    watch.wrote(cuts, offsetBytes, position);
    grown(position);
  }

  private void writeAllZeroes(long offsetBytes, long lengthBytes) throws IOException {
    try {
      file.zeroRange(offsetBytes, lengthBytes);
      return;
    } catch (PosixException e) {
      // EINVAL: a block device, and not whole blocks.
      if (!e.isUnsupported() && e.errno() != Errno.EINVAL) {
        throw e;
      }
    }
    ByteBuffer zeroes = ByteBuffer.allocateDirect((int) Math.min(lengthBytes, ZEROES_BYTES));
    long position = offsetBytes;
    long end = offsetBytes + lengthBytes;
    while (position < end) {
      zeroes.clear().limit((int) Math.min(end - position, ZEROES_BYTES));
      position += file.write(zeroes, position);
    }
    grown(end);
  }

  private void grown(long endBytes) {
    if (endBytes > sizeBytes.get()) {
      sizeBytes.accumulateAndGet(endBytes, Math::max);
    }
  }

  /// On a worker. What finds no room is written again without durability, because a write whose own
  /// data found some fails as well when data before it did not; then the rest is the next sync's.
  private final class DurableWrite implements BlockingCall, Completion {
    private final long offsetBytes;
    private final ByteBuffer data;
    private final Completion done;
    private boolean syncDue;

    DurableWrite(long offsetBytes, ByteBuffer data, Completion done) {
      this.offsetBytes = offsetBytes;
      this.data = data;
      this.done = done;
    }

    @Override
    public void run() throws IOException {
      sync.check();
      int cuts = watch.beforeWrite(nanoClock);
      long position = offsetBytes;
      while (data.hasRemaining()) {
        int start = data.position();
        try {
          position += file.writeDurable(data, position);
        } catch (PosixException e) {
          if (!e.isNoRoom()) {
            sync.fail(e);
            throw e;
          }
          syncDue = true;
          int restBytes = data.position(start).remaining();
          writeAll(position, data, cuts);
          position += restBytes;
        }
      }
      watch.wrote(cuts, offsetBytes, position);
      grown(position);
    }

    @Override
    public void succeeded() {
      if (syncDue) {
        sync.request(done);
      } else {
        done.succeeded();
      }
    }

    @Override
    public void failed(IOException error) {
      done.failed(error);
    }
  }

  /// The end of a long read, on a worker.
  private record BeforeLongWrite(Completion done) implements Completion {
    @Override
    public void succeeded() {
      LONG_WRITE_MAY_FOLLOW.set(true);
      try {
        done.succeeded();
      } finally {
        LONG_WRITE_MAY_FOLLOW.set(false);
      }
    }

    @Override
    public void failed(IOException error) {
      done.failed(error);
    }
  }
}
