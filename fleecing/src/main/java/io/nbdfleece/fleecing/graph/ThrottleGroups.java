// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.block.ThrottleGroup;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import io.nbdfleece.fleecing.graph.GraphEngine.GraphDisk;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;

/// The throttle groups by name. Looking up by any thread; changes one after the other.
final class ThrottleGroups {
  private final DelayTimer timer;
  private final Map<String, ThrottleGroup> groups = new ConcurrentHashMap<>();

  ThrottleGroups(DelayTimer timer) {
    this.timer = timer;
  }

  /// The groups that limit a disk, the lowest first: for a guest's disk those that it stands on,
  /// for one that was added all that stand on it.
  static List<String> above(NodeTable table, GraphDisk disk) {
    List<Node> nodes =
        disk.isDevice()
            ? table.chain(table.root(disk.name())).reversed()
            : table.nodes().values().stream()
                .filter(node -> node.disk().equals(disk.name()))
                .toList();
    List<String> names = new ArrayList<>();
    for (Node node : nodes) {
      if (node.driver() instanceof Driver.Throttle throttle) {
        names.add(throttle.group());
      }
    }
    return names;
  }

  Set<String> names() {
    return new TreeSet<>(groups.keySet());
  }

  List<ThrottleGroup> named(List<String> names) {
    List<ThrottleGroup> named = new ArrayList<>();
    for (String name : names) {
      ThrottleGroup group = groups.get(name);
      if (group == null) {
        throw new IllegalStateException("throttle group: " + name + " (expected: one in use)");
      }
      named.add(group);
    }
    return named;
  }

  void add(String name, ThrottleLimits limits) throws GraphException {
    if (!NodeBuilder.isWellFormed(name)) {
      throw GraphException.invalid("Parameter 'id' expects an identifier");
    }
    if (groups.containsKey(name)) {
      throw GraphException.busy(
          "attempt to add duplicate property '" + name + "' to object (type 'container')");
    }
    groups.put(name, new ThrottleGroup(limits, timer));
  }

  void remove(String name, NodeTable table) throws GraphException {
    if (!groups.containsKey(name)) {
      throw new GraphException(GraphException.Reason.NOT_FOUND, "object '" + name + "' not found");
    }
    for (Node node : table.nodes().values()) {
      if (node.driver() instanceof Driver.Throttle throttle && throttle.group().equals(name)) {
        throw GraphException.busy("object '" + name + "' is in use, can not be deleted");
      }
    }
    groups.remove(name);
  }

  Optional<ThrottleLimits> limits(String name) {
    return Optional.ofNullable(groups.get(name)).map(ThrottleGroup::limits);
  }

  void limit(String name, ThrottleLimits limits) throws GraphException {
    ThrottleGroup group = groups.get(name);
    if (group == null) {
      throw GraphException.noDevice(name);
    }
    group.limit(limits);
  }

  /// Lets everything through, for good.
  void open() {
    groups.values().forEach(group -> group.limit(ThrottleLimits.NONE));
  }
}
