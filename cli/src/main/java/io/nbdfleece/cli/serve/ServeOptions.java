// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.control.ControlPlace;
import io.nbdfleece.nbd.client.RemoteOptions;
import io.nbdfleece.nbd.server.ServerConfig;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What `serve` was asked to do, checked.
///
/// @param upstream for the disks that other servers hold
/// @param insecure whether other machines may reach us without encryption
/// @param allowedNames who may open a disk, for those that are not for everybody
/// @param privatePlace to be created for the sockets that are in it
/// @param isCaptive whether we run for one command, to which standard output belongs
public record ServeOptions(
    List<DiskPlace> disks,
    RemoteOptions upstream,
    ServerConfig server,
    boolean insecure,
    Map<String, Set<String>> allowedNames,
    Optional<PrivatePlace> privatePlace,
    ControlPlace control,
    StoreRequest store,
    LifeRequest life,
    boolean isCaptive) {

  public ServeOptions {
    disks = List.copyOf(disks);
    allowedNames = Map.copyOf(allowedNames);
  }
}
