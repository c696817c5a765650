// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The disks and snapshots of an engine as NBD exports: `vda` and `vda@nightly`. The empty name is
/// the disk when there is only one. Disks that are nodes only, and snapshots of these, are left to
/// [NamedExports].
///
/// A disk may have a list of the clients that are allowed. Then it and its snapshots are there for
/// a client only that has proved over TLS to have one of these names, compared character by
/// character; for all others they do not exist, neither by name nor in a listing. This goes for
/// clients on a Unix socket too, whatever the socket's mode.
public final class EngineExports implements ExportCatalog {
  private final FleecingEngine engine;
  private final Map<String, Set<String>> allowedNamesByDisk;

  /// Everything for everybody.
  public EngineExports(FleecingEngine engine) {
    this(engine, Map.of());
  }

  /// @param allowedNamesByDisk for each disk that is not for everybody, the names of clients that
  ///   may open it; an empty set allows nobody
  /// @throws IllegalArgumentException if it names a disk that the engine does not have yet: a
  ///   misspelt name would leave a disk open to everybody
  public EngineExports(FleecingEngine engine, Map<String, Set<String>> allowedNamesByDisk) {
    this.engine = engine;
    Map<String, Set<String>> copy = new HashMap<>();
    allowedNamesByDisk.forEach(
        (disk, names) -> {
          if (engine.disk(disk).isEmpty()) {
            throw new IllegalArgumentException(
                "allowed clients of disk "
                    + disk
                    + ": there is no such disk (disks: "
                    + ShownNames.list(diskNames(engine.servedDisks()))
                    + ")");
          }
          copy.put(disk, Set.copyOf(names));
        });
    this.allowedNamesByDisk = Map.copyOf(copy);
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    Optional<String> disk = diskOf(name);
    if (disk.isEmpty() || !mayOpen(disk.get(), client)) {
      return Optional.empty();
    }
    int at = name.indexOf('@');
    return at < 0
        ? listed(disk.get()).map(this::export)
        : listed(disk.get())
            .flatMap(known -> engine.takenSnapshot(name.substring(at + 1)))
            .flatMap(snapshot -> export(snapshot, disk.get()));
  }

  @Override
  public String canonicalName(String name, ClientIdentity client) {
    return name.isEmpty() ? diskOf(name).orElse(name) : name;
  }

  private Optional<ServedDisk> listed(String disk) {
    return engine.disk(disk).filter(EngineExports::isListed);
  }

  private static boolean isListed(ServedDisk disk) {
    return disk.config().isExported();
  }

  private List<ServedDisk> listedDisks() {
    return engine.servedDisks().stream().filter(EngineExports::isListed).toList();
  }

  /// Whether there is an export of that name for anybody.
  boolean hasTaken(String name) {
    int at = name.indexOf('@');
    return at < 0
        ? listed(name).isPresent()
        : listed(name.substring(0, at)).isPresent()
            && engine
                .takenSnapshot(name.substring(at + 1))
                .flatMap(snapshot -> snapshot.part(name.substring(0, at)))
                .isPresent();
  }

  /// Whether the disk is for some clients only.
  boolean isRestricted(String disk) {
    return allowedNamesByDisk.containsKey(disk);
  }

  @Override
  public List<String> names(ClientIdentity client) {
    List<String> names = new ArrayList<>();
    for (String disk : diskNames(listedDisks())) {
      if (mayOpen(disk, client)) {
        names.add(disk);
      }
    }
    for (Snapshot snapshot : engine.takenSnapshots()) {
      for (Snapshot.Part part : snapshot.parts()) {
        String disk = part.disk().config().name();
        if (isListed(part.disk()) && mayOpen(disk, client)) {
          names.add(disk + "@" + snapshot.name());
        }
      }
    }
    return names;
  }

  /// True of every snapshot's name on a disk with a list, whether the snapshot exists or not: so
  /// that nobody learns that without TLS.
  @Override
  public boolean needsTls(String name) {
    return diskOf(name).filter(allowedNamesByDisk::containsKey).isPresent();
  }

  /// The disk that an export name is about, whether it exists or not.
  private Optional<String> diskOf(String name) {
    int at = name.indexOf('@');
    if (at >= 0) {
      return Optional.of(name.substring(0, at));
    }
    if (name.isEmpty()) {
      List<ServedDisk> disks = listedDisks();
      return disks.size() == 1 ? Optional.of(disks.getFirst().config().name()) : Optional.empty();
    }
    return Optional.of(name);
  }

  /// Whether the client may open that disk and its snapshots.
  boolean mayOpen(String disk, ClientIdentity client) {
    Set<String> allowed = allowedNamesByDisk.get(disk);
    return allowed == null
        || client.tls().filter(tls -> tls.names().stream().anyMatch(allowed::contains)).isPresent();
  }

  private Export export(ServedDisk disk) {
    return DiskExport.of(disk, engine.config().clusterBytes());
  }

  private Optional<Export> export(Snapshot snapshot, String disk) {
    return snapshot
        .part(disk)
        .map(part -> SnapshotExport.of(snapshot, part, engine.config().clusterBytes()));
  }

  private static List<String> diskNames(List<ServedDisk> disks) {
    return disks.stream().map(disk -> disk.config().name()).toList();
  }
}
