// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.PosixException;
import java.io.IOException;
import java.util.Locale;

/// What the store tells people.
final class StoreTexts {
  private static final String[] UNITS = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};

  private StoreTexts() {}

  static String scratchFull(StoreConfig config) {
    String limit = bytes(config.scratchBytesMax());
    return "scratch directory "
        + config.scratchDirectory()
        + " is full: "
        + limit
        + " of "
        + limit
        + " used (limit --scratch-limit); release a snapshot or raise the limit: nbdfleece"
        + " cache-resize --scratch-limit SIZE";
  }

  static String scratchFails(StoreConfig config, IOException error) {
    return "cannot write to scratch directory "
        + config.scratchDirectory()
        + ": "
        + reason(error)
        + ": free space there, or release a snapshot";
  }

  static String ramFull(StoreConfig config) {
    String limit = bytes(config.ramBytesMax());
    return "RAM for preserved clusters is full: "
        + limit
        + " of "
        + limit
        + " used (limit --ram), and there is no disk tier; release a snapshot or raise the limit:"
        + " nbdfleece cache-resize --ram SIZE, or --scratch-limit SIZE";
  }

  static String tooSmallForDiskTier(long slotBytes, StoreConfig wanted) {
    return "scratch limit "
        + bytes(wanted.scratchBytesMax())
        + " is too small: the disk tier holds "
        + bytes(slotBytes)
        + "; release a snapshot, or give at least that";
  }

  static String tooSmall(long entryBytes, StoreConfig wanted) {
    return "RAM of "
        + bytes(wanted.ramBytesMax())
        + " and a scratch limit of "
        + bytes(wanted.scratchBytesMax())
        + " are too small together: preserved data takes "
        + bytes(entryBytes)
        + "; release a snapshot, or give more";
  }

  /// What went wrong, without the path, which the caller names.
  static String reason(IOException error) {
    if (error instanceof PosixException posix) {
      return Errno.text(posix.errno()) + " (" + Errno.name(posix.errno()) + ")";
    }
    String message = error.getMessage();
    return message == null ? error.toString() : message;
  }

  static String bytes(long count) {
    int unit = 0;
    double value = count;
    while (value >= 1024 && unit < UNITS.length - 1) {
      value /= 1024;
      unit++;
    }
    String format = value == Math.rint(value) ? "%.0f %s" : "%.1f %s";
    return String.format(Locale.ROOT, format, value, UNITS[unit]);
  }
}
