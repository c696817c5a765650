// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.CountedFiles;
import io.nbdfleece.fleecing.state.DiskIdentity;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/// States of disks in a real directory, each of whose calls somebody is told of before, and may
/// fail.
final class CountedStates implements DiskStates {
  private final DiskStates states;
  private final CountedFiles.Calls calls;
  private final Identities identities;

  /// What tells each disk.
  interface Identities {
    Optional<DiskIdentity> of(DiskConfig disk) throws IOException;
  }

  CountedStates(Path directory, CountedFiles.Calls calls, Identities identities)
      throws IOException {
    this.states = DiskStates.in(CountedFiles.directory(directory, calls));
    this.calls = calls;
    this.identities = identities;
  }

  @Override
  public Optional<DiskIdentity> identity(DiskConfig disk, BlockNode node) throws IOException {
    return identities.of(disk).map(identity -> CountedFiles.identity(disk.name(), identity, calls));
  }

  @Override
  public DiskState disk(String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
      throws IOException {
    return states.disk(disk, identity, workers, lost);
  }

  @Override
  public void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException {
    states.commit(lists);
  }

  @Override
  public void close() throws IOException {
    states.close();
  }
}
