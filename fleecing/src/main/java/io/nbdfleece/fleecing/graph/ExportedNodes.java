// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

/// Which nodes are exported. Any thread; must not wait.
@FunctionalInterface
public interface ExportedNodes {

  /// Whether there is an export of the node; such a node is in use.
  boolean isExported(String node);

  /// Whether there is one whose clients may write.
  default boolean isWritten(String node) {
    return isExported(node);
  }
}
