// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FileNode;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.DiskIdentity;
import io.nbdfleece.fleecing.state.DiskState;
import io.nbdfleece.fleecing.state.FileDiskIdentity;
import io.nbdfleece.fleecing.state.IdentityAtOpening;
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

  /// As [StateDirectory#disk].
  DiskState disk(String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
      throws IOException;

  /// How a disk is told to be the same and unchanged; empty when nobody can tell, so that its state
  /// cannot be kept.
  default Optional<DiskIdentity> identity(DiskConfig disk, BlockNode node) throws IOException {
    if (!(node instanceof FileNode file)) {
      return Optional.empty();
    }
    DiskIdentity identity = FileDiskIdentity.of(file.file());
    return Optional.of(
        switch (disk.access()) {
          case READ_WRITE -> identity;
          case READ_ONLY -> new IdentityAtOpening(identity);
        });
  }

  /// As [StateDirectory#commit].
  void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException;

  @Override
  void close() throws IOException;

  /// Those in a directory.
  static DiskStates in(Path path) throws IOException {
    return in(StateDirectory.open(path));
  }

  /// Those in this directory, which is closed with them.
  static DiskStates in(StateDirectory directory) {
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
