// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.graph.GraphEngine.GraphDisk;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/// What `blockdev-reopen` makes of a node. Only computes: nothing is done yet.
final class Reopening {
  private final GraphEngine engine;
  private final NodeTable table;
  private final Set<String> groups;
  private final ExportedNodes exported;

  Reopening(GraphEngine engine, NodeTable table, Set<String> groups, ExportedNodes exported) {
    this.engine = engine;
    this.table = table;
    this.groups = groups;
    this.exported = exported;
  }

  /// The table with the node as it is to be. All options have to be given, as for adding.
  NodeTable apply(NodeSpec spec) throws GraphException {
    String name =
        spec.nodeName().orElseThrow(() -> GraphException.invalid("node-name not specified"));
    Node node = table.node(name).orElseThrow(() -> missing(name));
    Driver wanted = spec.driver();
    if (!wanted.wireName().equals(node.driver().wireName())) {
      throw cannotChange("driver");
    }
    Node next =
        switch (wanted) {
          case Driver.FileBackend file -> {
            require(file.equals(node.driver()), "filename");
            yield node;
          }
          case Driver.NbdBackend nbd -> {
            require(nbd.equals(node.driver()), "server");
            yield node;
          }
          case Driver.NullBackend zeroes -> reopened(node, zeroes);
          case Driver.Raw raw -> onChild(node.withDriver(raw), raw.file(), node.driver());
          case Driver.Throttle throttle -> reopened(node, throttle);
          case Driver.CopyBeforeWrite cbw -> reopened(node, cbw);
          case Driver.SnapshotAccess access -> {
            require(isSame(access.file(), node.file(), fileOf(node.driver())), "file");
            yield node;
          }
        };
    return table.with(withAccess(next, spec));
  }

  private GraphException missing(String name) {
    return engine.disk(name).isPresent()
        ? GraphException.invalid(
            "Node '"
                + name
                + "' was not made by blockdev-add and cannot be reopened: give its options to"
                + " `nbdfleece serve`")
        : GraphException.failedToFind(name);
  }

  private static GraphException cannotChange(String option) {
    return GraphException.invalid("Cannot change the option '" + option + "'");
  }

  private static void require(boolean unchanged, String option) throws GraphException {
    if (!unchanged) {
      throw cannotChange(option);
    }
  }

  private Node withAccess(Node node, NodeSpec spec) throws GraphException {
    boolean wanted = spec.readOnly().orElse(false);
    if (wanted == node.readOnly() || node.driver() instanceof Driver.SnapshotAccess) {
      return node;
    }
    if (wanted) {
      if (exported.isExported(node.name())) {
        throw GraphException.busy(
            "Read-only block node '" + node.name() + "' cannot support read-write users");
      }
      return node.withReadOnly(true);
    }
    if (node.isBackend() && engine.disk(node.disk()).map(GraphDisk::readOnly).orElse(true)) {
      require(spec.autoReadOnly(), "read-only"); // it was opened without the right to write
      return node;
    }
    return node.withReadOnly(false);
  }

  private static Node reopened(Node node, Driver.NullBackend zeroes) throws GraphException {
    if (node.driver() instanceof Driver.NullBackend old) {
      require(zeroes.sizeBytes() == old.sizeBytes(), "size");
      require(zeroes.latencyNanos() == old.latencyNanos(), "latency-ns");
      require(zeroes.readZeroes() == old.readZeroes(), "read-zeroes");
    }
    return node;
  }

  private Node reopened(Node node, Driver.Throttle throttle) throws GraphException {
    if (!groups.contains(throttle.group())) {
      throw NodeBuilder.noGroup(throttle.group());
    }
    return onChild(node.withDriver(throttle), throttle.file(), node.driver());
  }

  private static Node reopened(Node node, Driver.CopyBeforeWrite cbw) throws GraphException {
    if (!(node.driver() instanceof Driver.CopyBeforeWrite old)) {
      return node;
    }
    require(isSame(cbw.file(), node.file(), Optional.of(old.file())), "file");
    require(isSame(cbw.target(), node.target(), Optional.of(old.target())), "target");
    require(cbw.bitmap().equals(old.bitmap()), "bitmap");
    require(cbw.clusterBytesMin() == old.clusterBytesMin(), "min-cluster-size");
    if (node.view().isPresent()) {
      // A snapshot keeps the terms that it was taken on.
      require(cbw.onCbwError() == old.onCbwError(), "on-cbw-error");
      require(cbw.cbwTimeout().equals(old.cbwTimeout()), "cbw-timeout");
    }
    return node.withDriver(cbw);
  }

  /// @param old what the node was opened with
  private Node onChild(Node node, Child child, Driver old) throws GraphException {
    if (isSame(child, node.file(), fileOf(old))) {
      return node;
    }
    boolean ownsChild =
        node.file().flatMap(table::node).filter(n -> n.owner() == Node.Owner.PARENT).isPresent();
    if (ownsChild || !(child instanceof Child.Reference(String name))) {
      throw cannotChange("file");
    }
    if (table.chain(name).stream().anyMatch(below -> below.name().equals(node.name()))) {
      throw GraphException.invalid(
          "Making '" + name + "' a file child of '" + node.name() + "' would create a cycle");
    }
    String disk =
        table
            .node(name)
            .map(Node::disk)
            .or(() -> engine.disk(name).map(GraphDisk::name))
            .orElseThrow(() -> noChild(name));
    boolean showsView =
        table.chain(name).stream().anyMatch(n -> n.driver() instanceof Driver.SnapshotAccess);
    require(disk.equals(node.disk()) && !showsView, "file");
    return node.withFile(name);
  }

  /// QEMU says it in another way here than when adding.
  private static GraphException noChild(String name) {
    return new GraphException(
        GraphException.Reason.NOT_FOUND, "Cannot find device='' nor node-name='" + name + "'");
  }

  private static Optional<Child> fileOf(Driver driver) {
    return switch (driver) {
      case Driver.FileBackend _, Driver.NbdBackend _, Driver.NullBackend _ -> Optional.empty();
      case Driver.Raw raw -> Optional.of(raw.file());
      case Driver.CopyBeforeWrite cbw -> Optional.of(cbw.file());
      case Driver.SnapshotAccess access -> Optional.of(access.file());
      case Driver.Throttle throttle -> Optional.of(throttle.file());
    };
  }

  /// @param now the child that the node has
  /// @param given how it was given
  private static boolean isSame(Child wanted, Optional<String> now, Optional<Child> given) {
    return switch (wanted) {
      case Child.Reference(String name) -> Objects.equals(now, Optional.of(name));
      case Child.Inline inline -> given.equals(Optional.of(inline));
    };
  }
}
