// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.fleecing.bitmap.BitmapException.Reason;

/// The errors that QEMU has too, word for word, and the hints that it gives beside them.
final class BitmapErrors {
  private BitmapErrors() {}

  static BitmapException notFound(String name) {
    return new BitmapException(Reason.NOT_FOUND, "Dirty bitmap '" + name + "' not found");
  }

  static BitmapException exists(String name) {
    return new BitmapException(Reason.EXISTS, "Bitmap already exists: " + name);
  }

  static BitmapException nameEmpty() {
    return new BitmapException(Reason.INVALID, "Bitmap name cannot be empty");
  }

  static BitmapException nameTooLong(String name) {
    return new BitmapException(Reason.INVALID, "Bitmap name too long: " + name);
  }

  static BitmapException granularity() {
    return new BitmapException(Reason.INVALID, "Granularity must be power of 2 and at least 512");
  }

  static BitmapException cannotStore(String disk, String why) {
    return new BitmapException(
        Reason.UNSUPPORTED,
        "Can't store persistent bitmaps to " + disk + ": Operation not supported",
        why);
  }

  static BitmapException busy(TrackedBitmap bitmap) {
    return new BitmapException(
        Reason.BUSY,
        "Bitmap '"
            + bitmap.name()
            + "' is currently in use by another operation and cannot be used",
        bitmap.checkpoint().isPresent()
            ? "It is a checkpoint: delete it with 'nbdfleece checkpoint delete'"
            : "Release the snapshot or delete the export that uses it");
  }

  static BitmapException inconsistent(String name) {
    return new BitmapException(
        Reason.INCONSISTENT,
        "Bitmap '" + name + "' is inconsistent and cannot be used",
        "Try block-dirty-bitmap-remove to delete this bitmap from disk");
  }

  static BitmapException sizes(long targetBytes, long sourceBytes) {
    return new BitmapException(
        Reason.INVALID,
        "Bitmaps are of different sizes (destination size is "
            + targetBytes
            + ", source size is "
            + sourceBytes
            + ") and can't be merged");
  }
}
