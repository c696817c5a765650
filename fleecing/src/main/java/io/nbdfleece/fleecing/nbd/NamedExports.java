// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.DiskBusyException;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.NameTakenException;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.NoSuchExportException;
import io.nbdfleece.fleecing.NoSuchSnapshotException;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Exports that were added one by one, as QEMU's `block-export-add` does it. Bitmaps that an export
/// shows are busy as long as it is there. Any thread.
public final class NamedExports implements ExportCatalog {
  /// QEMU's rule for ids.
  private static final Pattern ID = Pattern.compile("[A-Za-z][A-Za-z0-9._-]*");

  private static final int TEXT_BYTES_MAX = 4096;

  private final FleecingEngine engine;
  private final Consumer<String> deleted;
  private final ExportedBitmaps bitmaps;
  private final ReentrantLock lock = new ReentrantLock();

  /// Those being added too, which have no value yet.
  @GuardedBy("lock")
  private final Map<String, @Nullable AddedExport> byId = new LinkedHashMap<>();

  /// Ids by the names that clients open.
  @GuardedBy("lock")
  private final Map<String, String> idByName = new LinkedHashMap<>();

  /// How often all were taken away.
  @GuardedBy("lock")
  private long removals;

  private volatile BooleanSupplier shownTogether = () -> true;

  /// How long SAFE removal waits for clients that are leaving.
  private static final long LEAVING_MAX_MILLIS = 1000;

  /// What is shown beside these.
  private volatile @Nullable EngineExports listed;

  /// @param deleted told the id of each export once it is gone, before [#remove] completes; it must
  ///   not wait
  public NamedExports(FleecingEngine engine, Consumer<String> deleted) {
    this(engine, deleted, ExportedBitmaps.of(engine));
  }

  NamedExports(FleecingEngine engine, Consumer<String> deleted, ExportedBitmaps bitmaps) {
    this.engine = engine;
    this.deleted = deleted;
    this.bitmaps = bitmaps;
  }

  /// A catalog of both: what is in `others` comes first, and its names are taken from then on. Who
  /// may open a disk there is asked here too, in whichever catalog these exports are.
  ///
  /// @param together whether clients of that catalog see these too, at the moment; while they do
  ///   not, the names of the others are free
  public ExportCatalog beside(EngineExports others, BooleanSupplier together) {
    listed = others;
    shownTogether = together;
    return new BothCatalogs(others, this, together);
  }

  /// Adds one. Fails with QEMU's texts: id in use, name in use, bitmap not found or busy, an
  /// enabled bitmap on a read-only export, a disk that is read-only; and with [NoSuchDiskException]
  /// or [NoSuchSnapshotException]. Then nothing has changed.
  public void add(NamedExport export) throws IOException {
    check(export);
    String id = export.id();
    boolean nameTaken;
    long removalsBefore;
    lock.lock();
    try {
      removalsBefore = removals;
      if (byId.containsKey(id)) {
        throw new NameTakenException("Block export id '" + id + "' is already in use");
      }
      nameTaken = isTaken(export.name());
      byId.put(id, null);
      if (!nameTaken) {
        idByName.put(export.name(), id);
      }
    } finally {
      lock.unlock();
    }
    AddedExport added = null;
    boolean tooLate;
    try {
      added = open(export, nameTaken);
    } finally {
      lock.lock();
      try {
        tooLate = removals != removalsBefore;
        if (added != null) {
          byId.put(id, added);
        } else {
          byId.remove(id);
          idByName.remove(export.name(), id);
        }
      } finally {
        lock.unlock();
      }
    }
    if (tooLate) {
      var _ = close(added, true);
      throw new IOException("NBD server not running"); // all were taken away meanwhile
    }
  }

  private static void check(NamedExport export) {
    if (!ID.matcher(export.id()).matches()) {
      throw new IllegalArgumentException("Invalid block export id");
    }
    checkText("export name", export.name());
    export.description().ifPresent(text -> checkText("description", text));
  }

  /// No client could ask for a name that cannot be sent, nor list exports beside it.
  private static void checkText(String what, String text) {
    if (text.getBytes(UTF_8).length > TEXT_BYTES_MAX) {
      throw new IllegalArgumentException(what + " '" + text + "' too long");
    }
    if (text.indexOf('\0') >= 0 || !UTF_8.newEncoder().canEncode(text)) {
      throw new IllegalArgumentException(
          what + " '" + ShownNames.of(text) + "' contains NUL or half a character");
    }
  }

  @GuardedBy("lock")
  private boolean isTaken(String name) {
    EngineExports others = listed;
    return idByName.containsKey(name)
        || (others != null && shownTogether.getAsBoolean() && others.hasTaken(name));
  }

  private AddedExport open(NamedExport export, boolean nameTaken) throws IOException {
    ServedDisk disk = disk(diskOf(export));
    Optional<Snapshot> snapshot = Optional.empty();
    Optional<Snapshot.Part> part = Optional.empty();
    switch (export.source()) {
      case NamedExport.Source.LiveDisk _ -> {
        if (export.writable() && disk.config().access() == DiskConfig.Access.READ_ONLY) {
          throw new IOException("Cannot export read-only node as writable");
        }
      }
      case NamedExport.Source.FrozenDisk frozen -> {
        snapshot = engine.takenSnapshot(frozen.snapshot());
        part = snapshot.flatMap(taken -> taken.part(frozen.disk()));
        if (part.isEmpty()) {
          throw new NoSuchSnapshotException(
              "no snapshot of disk " + frozen.disk() + " is called " + frozen.snapshot());
        }
      }
    }
    if (nameTaken) {
      throw new NameTakenException("NBD server already has export named '" + export.name() + "'");
    }
    BitmapsInUse inUse = new BitmapsInUse(engine, bitmaps);
    try {
      if (part.isEmpty()) {
        inUse.hold(disk); // a frozen view says itself that it has ended
      }
      inUse.take(export, disk, part.flatMap(Snapshot.Part::dirty));
      int preferredBlockBytes = engine.config().clusterBytes();
      // Without one of its own: by it a client that comes back sees that this is another snapshot.
      Export served =
          part.isPresent()
              ? new SnapshotExport(
                  snapshot.orElseThrow().name(),
                  part.get(),
                  preferredBlockBytes,
                  export
                      .description()
                      .orElse(
                          SnapshotExport.description(
                              snapshot.get(),
                              part.get(),
                              part.get().since().filter(_ -> inUse.shown().isEmpty()))),
                  export.writable(),
                  SnapshotExport.frozen(part.get(), inUse.shown()))
              : new DiskExport(
                  disk,
                  preferredBlockBytes,
                  export.description().orElse(""),
                  !export.writable(),
                  new ShownContexts(inUse.shown(), export.allocationDepth()));
      return new AddedExport(export, served, inUse::giveBack, this::gone);
    } catch (IOException | RuntimeException e) {
      inUse.giveBack();
      throw e;
    }
  }

  private ServedDisk disk(String name) throws NoSuchDiskException {
    return engine
        .disk(name)
        .orElseThrow(() -> new NoSuchDiskException("no disk is called " + name));
  }

  private static String diskOf(NamedExport export) {
    return switch (export.source()) {
      case NamedExport.Source.LiveDisk live -> live.disk();
      case NamedExport.Source.FrozenDisk frozen -> frozen.disk();
    };
  }

  /// Takes one away: its name is free at once, its id when its last client has gone, which is when
  /// the future completes. `SAFE` fails while it has clients; `HARD` disconnects them: what they
  /// have in flight is finished and answered. Fails with QEMU's texts.
  public CompletableFuture<Void> remove(String id, Removal removal) {
    AddedExport found;
    lock.lock();
    try {
      found = byId.get(id);
    } finally {
      lock.unlock();
    }
    if (found == null) {
      return CompletableFuture.failedFuture(
          new NoSuchExportException("Export '" + id + "' is not found"));
    }
    if (removal == Removal.HARD) {
      return removed(found, true);
    }
    // Who has just closed its connection may not have been noticed yet.
    return found
        .withoutClients()
        .completeOnTimeout(null, LEAVING_MAX_MILLIS, TimeUnit.MILLISECONDS)
        .thenCompose(ignored -> removed(found, false));
  }

  private CompletableFuture<Void> removed(AddedExport found, boolean evenWithClients) {
    String id = found.description().id();
    return switch (close(found, evenWithClients)) {
      case HAS_CLIENTS ->
          CompletableFuture.failedFuture(new DiskBusyException("export '" + id + "' still in use"));
      case WAS_CLOSING -> refused("Export '" + id + "' is already shutting down");
      case BEGUN -> found.gone();
    };
  }

  private AddedExport.Closing close(AddedExport export, boolean evenWithClients) {
    AddedExport.Closing closing = export.close(evenWithClients);
    if (closing == AddedExport.Closing.BEGUN) {
      lock.lock();
      try {
        if (byId.get(export.description().id()) == export) { // else it is gone, and names are free
          idByName.remove(export.description().name(), export.description().id());
        }
      } finally {
        lock.unlock();
      }
    }
    return closing;
  }

  /// Takes all of them away, clients or not.
  public CompletableFuture<Void> removeAll() {
    List<CompletableFuture<Void>> all = new ArrayList<>();
    lock.lock();
    try {
      removals++; // of those that are being added as well
    } finally {
      lock.unlock();
    }
    for (AddedExport export : added()) {
      var _ = close(export, true);
      all.add(export.gone());
    }
    return CompletableFuture.allOf(all.toArray(CompletableFuture[]::new));
  }

  private static CompletableFuture<Void> refused(String text) {
    return CompletableFuture.failedFuture(new IOException(text));
  }

  private void gone(AddedExport export) {
    String id = export.description().id();
    lock.lock();
    try {
      byId.remove(id);
      idByName.remove(export.description().name(), id);
    } finally {
      lock.unlock();
    }
    deleted.accept(id);
  }

  /// All of them, those shutting down included, in the order they were added.
  public List<NamedExport> exports() {
    return added().stream().map(AddedExport::description).toList();
  }

  /// Whether it has been removed and waits for its last client to go.
  public boolean isShuttingDown(String id) {
    return added().stream()
        .anyMatch(export -> export.description().id().equals(id) && export.isShuttingDown());
  }

  private List<AddedExport> added() {
    List<AddedExport> all = new ArrayList<>();
    lock.lock();
    try {
      for (AddedExport export : byId.values()) {
        if (export != null) {
          all.add(export);
        }
      }
    } finally {
      lock.unlock();
    }
    return all;
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    return named(name).filter(export -> isFor(client, export)).map(AddedExport::forClient);
  }

  private Optional<AddedExport> named(String name) {
    lock.lock();
    try {
      String id = idByName.get(name);
      return id == null ? Optional.empty() : Optional.ofNullable(byId.get(id));
    } finally {
      lock.unlock();
    }
  }

  private boolean isFor(ClientIdentity client, AddedExport export) {
    EngineExports others = listed;
    return others == null || others.mayOpen(diskOf(export.description()), client);
  }

  @Override
  public List<String> names(ClientIdentity client) {
    return added().stream()
        .filter(export -> !export.isShuttingDown() && isFor(client, export))
        .map(export -> export.description().name())
        .toList();
  }

  @Override
  public boolean needsTls(String name) {
    EngineExports others = listed;
    return others != null
        && named(name)
            .filter(export -> others.isRestricted(diskOf(export.description())))
            .isPresent();
  }

  /// QEMU's `BlockExportRemoveMode`.
  public enum Removal {
    SAFE,
    HARD
  }
}
