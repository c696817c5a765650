// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.control.ControlPlace;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.nbd.server.ServerConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/// What `serve` was asked to do.
///
/// @param scratchBytesMax half of the free space when empty
public record ServeOptions(
    List<DiskConfig> disks,
    List<ServerConfig.Listen> listen,
    ControlPlace control,
    long ramBytes,
    Path scratchDirectory,
    OptionalLong scratchBytesMax,
    int clusterBytes,
    ControlTarget.SnapshotDefaults snapshotDefaults,
    Optional<Path> pidFile) {

  public ServeOptions {
    disks = List.copyOf(disks);
    listen = List.copyOf(listen);
  }
}
