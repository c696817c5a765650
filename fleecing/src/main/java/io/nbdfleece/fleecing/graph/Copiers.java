// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/// The copy-before-write nodes, and the snapshots that they stand for. One thread at a time.
final class Copiers {
  private final GraphEngine engine;
  private final ExportedNodes exported;

  Copiers(GraphEngine engine, ExportedNodes exported) {
    this.engine = engine;
    this.exported = exported;
  }

  /// The nodes that exports write to at this moment. Exports may go at any time: whoever compares
  /// two tables asks once.
  Set<String> written(NodeTable... tables) {
    return Arrays.stream(tables)
        .flatMap(table -> table.nodes().values().stream())
        .filter(node -> !node.isView())
        .map(Node::name)
        .filter(exported::isWritten)
        .collect(Collectors.toSet());
  }

  /// Those that somebody stands on who writes, the lowest first.
  ///
  /// @param written by exports
  static Map<String, Node> working(NodeTable table, Set<String> written) {
    List<String> tops = new ArrayList<>(table.roots().values());
    table.nodes().keySet().stream().filter(written::contains).forEach(tops::add);
    Map<String, Node> working = new LinkedHashMap<>();
    for (String top : tops) {
      table.chain(top).reversed().stream()
          .filter(Node::isFilterOfWrites)
          .forEach(node -> working.put(node.name(), node));
    }
    return working;
  }

  /// Those at and below a node that have no snapshot yet, the lowest first.
  static List<Node> waiting(NodeTable table, String node) {
    return table.chain(node).reversed().stream()
        .filter(below -> below.isFilterOfWrites() && below.view().isEmpty())
        .toList();
  }

  /// Takes the snapshots of these, all or none.
  ///
  /// @return the table in which they have them
  NodeTable take(NodeTable from, List<Node> copiers) throws IOException {
    for (Node copier : copiers) {
      requireNoLiveView(from, copier);
    }
    NodeTable after = from;
    List<Node> taken = new ArrayList<>();
    for (Node copier : copiers) {
      try {
        engine.snapshot(CopierSnapshot.request(copier));
      } catch (IOException | RuntimeException e) {
        undo(taken, e);
        throw e;
      }
      taken.add(copier);
      after = after.with(copier.withView(Optional.of(copier.name())));
    }
    return after;
  }

  private void requireNoLiveView(NodeTable table, Node copier) throws GraphException {
    for (Node view : table.parents(copier.name())) {
      if (view.isView() && exported.isExported(view.name())) {
        throw GraphException.busy(
            "Node '"
                + view.name()
                + "' is busy: an export shows the live disk through it: delete the export, and"
                + " add it again after '"
                + copier.name()
                + "' was inserted");
      }
    }
  }

  /// Ends the snapshots that [#take] has taken just now.
  void undo(List<Node> taken, Exception because) {
    for (Node copier : taken) {
      try {
        engine.release(copier.name(), Optional.empty());
      } catch (IOException | RuntimeException releasing) {
        because.addSuppressed(releasing);
      }
    }
  }

  /// Ends the snapshot of a node, if it has one. Somebody may have released it by its own name.
  void end(Node node) throws IOException {
    if (node.isFilterOfWrites() && node.view().filter(engine::hasSnapshot).isPresent()) {
      engine.release(node.view().get(), Optional.empty());
    }
  }
}
