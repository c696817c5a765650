// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// All nodes that were added, and what each guest's device stands on. Immutable.
///
/// @param nodes by name, in the order they were added
/// @param roots the uppermost node by device; a device that is missing here stands on its disk
record NodeTable(Map<String, Node> nodes, Map<String, String> roots) {
  static final NodeTable EMPTY = new NodeTable(Map.of(), Map.of());

  NodeTable {
    nodes = Collections.unmodifiableMap(new LinkedHashMap<>(nodes));
    roots = Map.copyOf(roots);
  }

  Optional<Node> node(String name) {
    return Optional.ofNullable(nodes.get(name));
  }

  NodeTable with(Node node) {
    return with(List.of(node));
  }

  NodeTable with(Collection<Node> changed) {
    Map<String, Node> next = new LinkedHashMap<>(nodes);
    changed.forEach(node -> next.put(node.name(), node));
    return new NodeTable(next, roots);
  }

  NodeTable without(Collection<String> names) {
    Map<String, Node> next = new LinkedHashMap<>(nodes);
    next.keySet().removeAll(names);
    return new NodeTable(next, roots);
  }

  NodeTable withRoot(String device, String node) {
    Map<String, String> next = new LinkedHashMap<>(roots);
    if (node.equals(device)) {
      next.remove(device);
    } else {
      next.put(device, node);
    }
    return new NodeTable(nodes, next);
  }

  /// What a device stands on.
  String root(String device) {
    return roots.getOrDefault(device, device);
  }

  boolean isRoot(String name) {
    return roots.containsValue(name);
  }

  /// The nodes from this one down to its backend, uppermost first; a disk that was not added here
  /// is not among them.
  List<Node> chain(String name) {
    List<Node> chain = new ArrayList<>();
    Optional<Node> next = node(name);
    while (next.isPresent()) {
      chain.add(next.get());
      next = next.get().file().flatMap(this::node);
    }
    return chain;
  }

  /// The nodes that stand on this one.
  List<Node> parents(String name) {
    return nodes.values().stream().filter(node -> node.children().contains(name)).toList();
  }

  /// A node and all that goes with it.
  List<Node> owned(Node node) {
    List<Node> owned = new ArrayList<>();
    owned.add(node);
    for (int i = 0; i < owned.size(); i++) {
      for (String child : owned.get(i).children()) {
        node(child).filter(n -> n.owner() == Node.Owner.PARENT).ifPresent(owned::add);
      }
    }
    return owned;
  }
}
