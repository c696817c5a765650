// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.DirtyBits;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/// A bitmap in use. What does not change is read once.
final class UsedBitmap implements BitmapUse {
  private final DiskTracking disk;
  private final String name;
  private final DiskUsers holder;
  private final AtomicBoolean closed = new AtomicBoolean();
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private @Nullable BitmapContent cachedOf;

  @GuardedBy("lock")
  private @Nullable GranuleSet cached;

  UsedBitmap(DiskTracking disk, String name, DiskUsers holder) {
    this.disk = disk;
    this.name = name;
    this.holder = holder;
  }

  @Override
  public DirtyBits current() {
    try {
      TrackedBitmap bitmap = disk.current().require(name);
      // A write whose mark fails only now is in flight while the bits are looked at: its mark, too,
      // would show or not.
      if (bitmap.inconsistent()) {
        throw BitmapException.inconsistent(name);
      }
      return bitmap.content() instanceof BitmapContent.Live live ? live.bits() : unchanging(bitmap);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private GranuleSet unchanging(TrackedBitmap bitmap) throws IOException {
    lock.lock();
    try {
      if (cached != null && bitmap.content().equals(cachedOf)) {
        return cached;
      }
    } finally {
      lock.unlock();
    }
    GranuleSet read = disk.read(bitmap);
    lock.lock();
    try {
      cachedOf = bitmap.content();
      cached = read;
    } finally {
      lock.unlock();
    }
    return read;
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      disk.unuse(name);
      holder.released();
    }
  }
}
