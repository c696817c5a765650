// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FileNode;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.DiskIdentity;
import io.nbdfleece.fleecing.state.DiskState;
import io.nbdfleece.fleecing.state.FileDiskIdentity;
import io.nbdfleece.fleecing.state.StateDirectory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/// Where the states of disks are kept.
interface DiskStates extends AutoCloseable {

  /// What the disk is; empty when it cannot be told at the next start, so that nothing is kept.
  default Optional<DiskIdentity> identityOf(DiskConfig disk, BlockNode node) throws IOException {
    return node instanceof FileNode
        ? Optional.of(FileDiskIdentity.of(Path.of(disk.location())))
        : Optional.empty();
  }

  /// As [StateDirectory#disk].
  DiskState disk(String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
      throws IOException;

  /// As [StateDirectory#commit].
  void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException;

  @Override
  void close() throws IOException;

  /// Those in a directory.
  static DiskStates in(Path path) throws IOException {
    StateDirectory directory = StateDirectory.open(path);
    return new DiskStates() {
      @Override
      public DiskState disk(
          String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
          throws IOException {
        return directory.disk(disk, identity, workers, lost);
      }

      @Override
      public void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException {
        directory.commit(lists);
      }

      @Override
      public void close() throws IOException {
        directory.close();
      }
    };
  }
}
