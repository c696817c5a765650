// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/// The directory of `--state`: one folder per disk. Used by one process at a time (it is locked).
public final class StateDirectory implements AutoCloseable {

  private StateDirectory() {}

  /// Opens and locks it; makes it if its parent is there. Fails, naming it and what to do.
  public static StateDirectory open(Path directory) throws IOException {
    throw new UnsupportedOperationException();
  }

  /// Opens the state of a disk, or begins a new one.
  ///
  /// @param disk its name
  /// @param identity what the disk is now, asked again at the end
  /// @param workers for what must not wait on the caller's thread
  /// @param lost told, once, why bitmaps will not outlive the process
  public DiskState disk(String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
      throws IOException {
    throw new UnsupportedOperationException();
  }

  @Override
  public void close() throws IOException {
    throw new UnsupportedOperationException();
  }
}
