// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/// A file opened once more, to learn whether data was lost that it had taken already. Linux tells
/// each open descriptor once of a write-back that failed (fsync(2), since Linux 4.13), so one that
/// only syncs still knows of it when a write has been told. Thread-safe.
final class SyncWitness implements AutoCloseable {
  private final LinuxFile file;

  @GuardedBy("this")
  private @Nullable LinuxFile again;

  SyncWitness(LinuxFile file) {
    this.file = file;
  }

  /// Sees what happens from now on. Must come before the write that may have to be asked about.
  synchronized void attend() throws IOException {
    if (again == null) {
      again = LinuxFile.open(file.descriptorPath(), Access.READ_ONLY);
    }
  }

  /// Makes all that the file holds durable; fails when that cannot be, or could not since the last
  /// time or since [#attend].
  void testify() throws IOException {
    LinuxFile witness;
    synchronized (this) {
      witness = again;
    }
    if (witness == null) {
      throw new IllegalStateException("attend() comes first");
    }
    witness.dataSync();
  }

  @Override
  public synchronized void close() throws IOException {
    if (again != null) {
      again.close();
    }
  }
}
