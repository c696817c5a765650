// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.FleecingEngine;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/// The nodes known by name, as QMP's block commands see them: the disks themselves (node name =
/// disk name), and what was added: backends, which are disks of the engine that are not listed, and
/// filters. A `copy-before-write` node stands for a snapshot, a `snapshot-access` node for its
/// view. Any thread.
public final class BlockGraph {
  private final FleecingEngine engine;

  public BlockGraph(FleecingEngine engine) {
    this.engine = engine;
  }

  /// What an export, a bitmap command or a query means by a node's or device's name.
  public Optional<Target> find(String nodeOrDevice) {
    return engine.disk(nodeOrDevice).map(disk -> new Target.LiveDisk(disk.config().name()));
  }

  /// All nodes, disks first, for `query-named-block-nodes`.
  public List<NodeInfo> nodes() throws IOException {
    throw new UnsupportedOperationException();
  }

  /// What a name leads to.
  public sealed interface Target {
    /// A disk, or a filter on one.
    record LiveDisk(String disk) implements Target {}

    /// The view of a snapshot.
    record FrozenDisk(String snapshot, String disk) implements Target {}
  }

  /// A node as it is shown.
  ///
  /// @param driver QEMU's name: `raw`, `file`, `host_device`, `nbd`, `null-co`,
  ///   `copy-before-write`, `snapshot-access`, `throttle`
  /// @param disk the disk at the end of its chain
  /// @param filename where its content is
  public record NodeInfo(
      String nodeName, String driver, String disk, String filename, boolean readOnly) {}
}
