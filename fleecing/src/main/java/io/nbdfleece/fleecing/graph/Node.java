// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// A node that is there.
///
/// @param disk the disk of the engine at the end of its chain
/// @param file its child, by name; none for a backend
/// @param target its other child, of a copy-before-write node
/// @param view the snapshot that it shows or has taken
record Node(
    String name,
    Driver driver,
    String disk,
    Optional<String> file,
    Optional<String> target,
    boolean readOnly,
    Owner owner,
    Optional<String> view) {

  /// Who takes it away.
  enum Owner {
    /// `blockdev-del`.
    MONITOR,
    /// Its parent does.
    PARENT,
    /// What has made it, a backup access.
    ACCESS
  }

  List<String> children() {
    return Stream.concat(file.stream(), target.stream()).toList();
  }

  boolean isBackend() {
    return file.isEmpty() && owner != Owner.ACCESS;
  }

  boolean isView() {
    return driver instanceof Driver.SnapshotAccess;
  }

  boolean isFilterOfWrites() {
    return driver instanceof Driver.CopyBeforeWrite;
  }

  Node withView(Optional<String> next) {
    return new Node(name, driver, disk, file, target, readOnly, owner, next);
  }

  Node withDriver(Driver next) {
    return new Node(name, next, disk, file, target, readOnly, owner, view);
  }

  Node withFile(String next) {
    return new Node(name, driver, disk, Optional.of(next), target, readOnly, owner, view);
  }

  Node withReadOnly(boolean next) {
    return new Node(name, driver, disk, file, target, next, owner, view);
  }
}
