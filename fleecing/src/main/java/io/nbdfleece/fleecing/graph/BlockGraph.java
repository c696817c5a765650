// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import io.nbdfleece.fleecing.graph.GraphEngine.GraphDisk;
import io.nbdfleece.fleecing.graph.Node.Owner;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;

/// The nodes known by name, as QMP's block commands see them: the disks themselves (node name =
/// disk name), and what was added: backends, which are disks of the engine that are not listed, and
/// filters. A `copy-before-write` node stands for a snapshot, a `snapshot-access` node for its
/// view.
///
/// ```
///   blockdev-add copy-before-write cbw      nothing happens to the disk
///   blockdev-add snapshot-access view       shows the disk as it is
///   qom-set vda drive=cbw                   the snapshot "cbw" is taken; view shows it
///   qom-set vda drive=vda                   the snapshot ends
/// ```
///
/// Bitmaps belong to disks, and the ones of a filter are those of its disk; only a
/// `snapshot-access` node has bitmaps of its own, which record nothing, because it is never
/// written. A throttle limits a guest's disk once that stands on it, and a backend that was added
/// as long as it is there.
///
/// **Threads.** Any thread. Looking up never waits. Changes are made one after the other, each as a
/// whole or not at all; they wait for what they start (a file to be opened, a freeze) and hold up
/// nothing but other changes.
public final class BlockGraph implements AutoCloseable {
  private final GraphEngine engine;
  private final NbdOpener opener;
  private final ExportedNodes exported;
  private final Copiers copiers;
  private final DelayTimer timer;
  private final Runnable closeTimer;

  /// Held through a change, waiting included; nobody needs it for anything else.
  private final ReentrantLock changes = new ReentrantLock(true);

  private final ThrottleGroups groups;
  private final BackupAccess accesses;
  private volatile NodeTable table = NodeTable.EMPTY;

  private final AtomicInteger generatedNumber = new AtomicInteger();

  /// With no way to other NBD servers, and for a place that adds no exports.
  public BlockGraph(FleecingEngine engine) {
    this(
        engine,
        source -> {
          throw GraphException.invalid("driver 'nbd' is not available here");
        },
        node -> false);
  }

  public BlockGraph(FleecingEngine engine, NbdOpener opener, ExportedNodes exported) {
    this(new EngineDisks(engine), opener, exported, DelayTimer.threaded("nbdfleece-throttle"));
  }

  private BlockGraph(
      GraphEngine engine, NbdOpener opener, ExportedNodes exported, DelayTimer.Threaded timer) {
    this(engine, opener, exported, timer, timer::close);
  }

  BlockGraph(
      GraphEngine engine,
      NbdOpener opener,
      ExportedNodes exported,
      DelayTimer timer,
      Runnable closeTimer) {
    this.engine = engine;
    this.opener = opener;
    this.exported = exported;
    this.copiers = new Copiers(engine, exported);
    this.timer = timer;
    this.closeTimer = closeTimer;
    this.groups = new ThrottleGroups(timer);
    this.accesses = new BackupAccess(engine);
  }

  /// What an export, a bitmap command or a query means by a node's or device's name.
  public Optional<Target> find(String nodeOrDevice) {
    NodeTable now = table;
    Optional<Node> node = now.node(nodeOrDevice);
    if (node.isEmpty()) {
      return engine.disk(nodeOrDevice).map(disk -> new Target.LiveDisk(disk.name()));
    }
    return Optional.of(target(now, node.get()));
  }

  private static Target target(NodeTable now, Node node) {
    if (node.isView()) {
      Optional<String> view =
          node.owner() == Owner.ACCESS
              ? node.view()
              : node.file().flatMap(now::node).flatMap(Node::view);
      if (view.isPresent()) {
        return new Target.FrozenDisk(view.get(), node.disk());
      }
    }
    return new Target.LiveDisk(node.disk());
  }

  /// Whose bitmaps those of a node or device are: a snapshot-access node has its own, others have
  /// those of their disk.
  public Optional<String> bitmapOwner(String nodeOrDevice) {
    Optional<Node> node = table.node(nodeOrDevice);
    return node.isPresent()
        ? Optional.of(node.get().isView() ? nodeOrDevice : node.get().disk())
        : engine.disk(nodeOrDevice).map(GraphDisk::name);
  }

  /// Whether nothing can be written through that node. A snapshot-access node is never written, not
  /// even while it shows the live disk; what a writable export of a view may do beyond reading is
  /// to discard.
  public boolean isReadOnly(String nodeOrDevice) {
    NodeTable now = table;
    Optional<Node> node = now.node(nodeOrDevice);
    if (node.isPresent() && node.get().isView()) {
      return target(now, node.get()) instanceof Target.LiveDisk;
    }
    String disk = node.map(Node::disk).orElse(nodeOrDevice);
    return now.chain(nodeOrDevice).stream().anyMatch(Node::readOnly)
        || engine.disk(disk).map(GraphDisk::readOnly).orElse(false);
  }

  /// All nodes, disks first, for `query-named-block-nodes`.
  public List<NodeInfo> nodes() {
    NodeTable now = table;
    List<NodeInfo> infos = new ArrayList<>();
    for (GraphDisk disk : engine.disks()) {
      if (now.node(disk.name()).isEmpty() && disk.isDevice()) {
        String location = disk.config().location();
        String driver = location.contains("://") ? "nbd" : "raw";
        infos.add(new NodeInfo(disk.name(), driver, disk.name(), location, disk.readOnly()));
      }
    }
    for (Node node : now.nodes().values()) {
      String filename = engine.disk(node.disk()).map(d -> d.config().location()).orElse("");
      infos.add(
          new NodeInfo(
              node.name(), node.driver().wireName(), node.disk(), filename, node.readOnly()));
    }
    return infos;
  }

  /// Adds a node, and those that are written inside of it. Fails with a [GraphException], or as
  /// opening fails.
  public void add(NodeSpec spec) throws IOException {
    changes.lock();
    try {
      NodeBuilder builder =
          new NodeBuilder(
              engine, opener, timer, table, groups.names(), generatedNumber::getAndIncrement);
      try {
        become(builder.build(spec));
      } catch (IOException | RuntimeException e) {
        builder.undo(e);
        throw e;
      }
    } finally {
      changes.unlock();
    }
  }

  /// Takes a node away that [#add] was called for, with those that came with it. A snapshot that it
  /// stands for ends.
  public void delete(String name) throws IOException {
    changes.lock();
    try {
      Optional<Node> found = table.node(name);
      if (found.isEmpty()) {
        if (engine.disk(name).isPresent()) {
          boolean drives = exported.isExported(name) || table.root(name).equals(name);
          throw GraphException.busy((drives ? "Node " : "Block device ") + name + " is in use");
        }
        throw GraphException.failedToFind(name);
      }
      List<Node> gone = table.owned(found.get());
      List<String> names = gone.stream().map(Node::name).toList();
      requireUnused(found.get(), names);
      requireRemovable(gone);
      for (Node node : gone) {
        copiers.end(node);
        table = table.with(node.withView(Optional.empty()));
      }
      for (Node node : gone) {
        if (node.isBackend()) {
          engine.remove(node.disk());
        }
      }
      become(table.without(names));
    } finally {
      changes.unlock();
    }
  }

  private void requireUnused(Node node, List<String> gone) throws GraphException {
    for (String name : gone) {
      if (exported.isExported(name) || table.isRoot(name) || engine.isViewInUse(name)) {
        throw GraphException.busy("Node " + name + " is in use");
      }
    }
    if (node.owner() != Owner.MONITOR) {
      throw GraphException.busy("Node " + node.name() + " is not owned by the monitor");
    }
    for (String name : gone) {
      for (Node parent : table.parents(name)) {
        if (!gone.contains(parent.name())) {
          throw GraphException.busy("Block device " + name + " is in use");
        }
      }
    }
  }

  /// So that nothing has ended when a backend cannot go.
  private void requireRemovable(List<Node> gone) throws IOException {
    Set<String> ending = new HashSet<>();
    gone.forEach(node -> node.view().ifPresent(ending::add));
    for (Node node : gone) {
      if (node.isBackend()) {
        engine.requireRemovable(node.disk(), ending);
      }
    }
  }

  /// Changes the options of nodes, all of them or none. What can change: `throttle-group`, `file`
  /// of a filter, `read-only` of a backend that was opened for writing, and `on-cbw-error` and
  /// `cbw-timeout` of a copy-before-write node before its snapshot is taken.
  public void reopen(List<NodeSpec> specs) throws IOException {
    changes.lock();
    try {
      NodeTable next = table;
      for (NodeSpec spec : specs) {
        next = new Reopening(engine, next, groups.names(), exported).apply(spec);
      }
      become(next);
    } finally {
      changes.unlock();
    }
  }

  /// The node that a guest's device stands on.
  public String drive(String device) throws GraphException {
    return table.root(requireDevice(device).name());
  }

  /// The names of the guests' devices.
  public List<String> devices() {
    return engine.disks().stream().filter(GraphDisk::isDevice).map(GraphDisk::name).toList();
  }

  /// Puts a guest's device on another node of its disk. Snapshots of copy-before-write nodes that
  /// it stands on then are taken before this returns; those of nodes that it stands on no more end.
  public void setDrive(String device, String node) throws IOException {
    changes.lock();
    try {
      requireDevice(device);
      if (!node.equals(device)) {
        Node root =
            table
                .node(node)
                .orElseThrow(
                    () ->
                        GraphException.invalid(
                            "Cannot find device='' nor node-name='" + node + "'"));
        if (!root.disk().equals(device) || table.chain(node).stream().anyMatch(Node::isView)) {
          throw GraphException.invalid(
              "Property 'nbdfleece-disk.drive' does not take node '"
                  + node
                  + "': it is no filter on '"
                  + device
                  + "'");
        }
      }
      become(table.withRoot(device, node));
    } finally {
      changes.unlock();
    }
  }

  private GraphDisk requireDevice(String device) throws GraphException {
    return engine
        .disk(device)
        .filter(GraphDisk::isDevice)
        .orElseThrow(() -> GraphException.noDevice(device));
  }

  /// Has `adding` export a node, as one change. With its first user who writes, or with a
  /// snapshot-access node that is exported at all, the copy-before-write nodes below begin to work:
  /// their snapshots are taken before. They last until the nodes go; when adding fails, they end.
  public void export(String node, boolean writable, Exporting adding) throws IOException {
    changes.lock();
    try {
      NodeTable before = table;
      boolean begins = writable || before.node(node).filter(Node::isView).isPresent();
      List<Node> taken = begins ? Copiers.waiting(before, node) : List.of();
      install(copiers.take(before, taken));
      try {
        adding.add();
      } catch (IOException | RuntimeException e) {
        install(before);
        copiers.undo(taken, e);
        throw e;
      }
    } finally {
      changes.unlock();
    }
  }

  /// Adds an export. It may look nodes up, and must not change them.
  public interface Exporting {
    void add() throws IOException;
  }

  /// From this table to that: snapshots that are new are taken, then all is as it says, then those
  /// that are gone end.
  @GuardedBy("changes")
  private void become(NodeTable next) throws IOException {
    NodeTable before = table;
    Set<String> written = copiers.written(before, next);
    Map<String, Node> old = Copiers.working(before, written);
    Map<String, Node> now = Copiers.working(next, written);
    NodeTable after =
        copiers.take(next, now.values().stream().filter(n -> n.view().isEmpty()).toList());
    List<Node> ending = new ArrayList<>();
    for (Node node : old.values()) {
      if (!now.containsKey(node.name()) && after.node(node.name()).isPresent()) {
        ending.add(node);
        after = after.with(after.node(node.name()).get().withView(Optional.empty()));
      }
    }
    install(after);
    rethrottle(before, after);
    for (Node node : ending) {
      copiers.end(node);
    }
  }

  /// Makes this the table. A view has bitmaps from when it is there until it goes.
  @GuardedBy("changes")
  private void install(NodeTable next) {
    NodeTable before = table;
    for (Node node : next.nodes().values()) {
      if (node.isView() && before.node(node.name()).isEmpty()) {
        long sizeBytes = engine.disk(node.disk()).map(GraphDisk::sizeBytes).orElseThrow();
        engine.addView(node.name(), sizeBytes);
      }
    }
    table = next;
    for (Node node : before.nodes().values()) {
      if (node.isView() && next.node(node.name()).isEmpty()) {
        engine.removeView(node.name());
      }
    }
  }

  private void rethrottle(NodeTable before, NodeTable after) {
    for (GraphDisk disk : engine.disks()) {
      List<String> old = ThrottleGroups.above(before, disk);
      List<String> now = ThrottleGroups.above(after, disk);
      if (!old.equals(now)) {
        engine.throttle(disk.name(), groups.named(now));
      }
    }
  }

  /// Adds a throttle group. Fails with a [GraphException] when the name is taken.
  public void addThrottleGroup(String name, ThrottleLimits limits) throws GraphException {
    changes.lock();
    try {
      groups.add(name, limits);
    } finally {
      changes.unlock();
    }
  }

  /// Takes one away that no node uses.
  public void deleteThrottleGroup(String name) throws GraphException {
    changes.lock();
    try {
      groups.remove(name, table);
    } finally {
      changes.unlock();
    }
  }

  /// The names of the throttle groups.
  public List<String> throttleGroups() {
    return List.copyOf(groups.names());
  }

  /// The limits of a group, if it is there.
  public Optional<ThrottleLimits> throttleLimits(String group) {
    return groups.limits(group);
  }

  /// Replaces limits at once, for requests that wait too.
  public void limitThrottleGroup(String group, ThrottleLimits limits) throws GraphException {
    groups.limit(group, limits);
  }

  /// Freezes devices for a backup program (Proxmox's `backup-access-setup`): one snapshot of all of
  /// them, and for each a `snapshot-access` node that an export can show.
  public List<BackupAccess.Frozen> setUpAccess(String target, List<BackupAccess.Device> devices)
      throws IOException {
    changes.lock();
    try {
      BackupAccess.Opened opened = accesses.open(target, devices, table);
      install(table.with(opened.nodes()));
      return opened.infos();
    } finally {
      changes.unlock();
    }
  }

  /// Ends it. After a success the next access with bitmap mode `use` covers what was written since
  /// this one; after a failure, what this one would have as well.
  public void tearDownAccess(String target, ReleaseOutcome outcome) throws IOException {
    changes.lock();
    try {
      List<String> nodes = accesses.nodesOf(target);
      try {
        accesses.close(target, outcome);
      } finally {
        if (!accesses.isOpen(target)) {
          install(table.without(nodes));
        }
      }
    } finally {
      changes.unlock();
    }
  }

  /// Lets all requests go that wait in a throttle. The engine stays open.
  @Override
  public void close() {
    groups.open();
    closeTimer.run();
  }

  /// What a name leads to.
  public sealed interface Target {
    /// A disk, or a filter on one.
    record LiveDisk(String disk) implements Target {}

    /// The view of a snapshot.
    record FrozenDisk(String snapshot, String disk) implements Target {}
  }

  /// A node as it is shown.
  ///
  /// @param driver QEMU's name: `raw`, `file`, `host_device`, `nbd`, `null-co`,
  ///   `copy-before-write`, `snapshot-access`, `throttle`
  /// @param disk the disk at the end of its chain
  /// @param filename where its content is
  public record NodeInfo(
      String nodeName, String driver, String disk, String filename, boolean readOnly) {}
}
