// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import io.nbdfleece.fleecing.graph.GraphEngine.GraphDisk;
import io.nbdfleece.fleecing.graph.Node.Owner;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;

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
/// Bitmaps belong to disks: the ones of a filter are those of its disk. A throttle limits a guest's
/// disk once that stands on it, and a backend that was added as long as it is there.
///
/// **Threads.** Any thread. Looking up never waits. Changes are made one after the other, each as a
/// whole or not at all; they wait for what they start (a file to be opened, a freeze) and hold up
/// nothing but other changes.
public final class BlockGraph implements AutoCloseable {
  private final GraphEngine engine;
  private final NbdOpener opener;
  private final Predicate<String> exported;
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

  /// @param exported whether there is an export of the node; such a node is in use
  public BlockGraph(FleecingEngine engine, NbdOpener opener, Predicate<String> exported) {
    this(new EngineDisks(engine), opener, exported, DelayTimer.threaded("nbdfleece-throttle"));
  }

  private BlockGraph(
      GraphEngine engine, NbdOpener opener, Predicate<String> exported, DelayTimer.Threaded timer) {
    this(engine, opener, exported, timer, timer::close);
  }

  BlockGraph(
      GraphEngine engine,
      NbdOpener opener,
      Predicate<String> exported,
      DelayTimer timer,
      Runnable closeTimer) {
    this.engine = engine;
    this.opener = opener;
    this.exported = exported;
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
    if (node.driver() instanceof Driver.SnapshotAccess) {
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

  /// Whether nothing can be written through that node. A snapshot-access node is never written, not
  /// even while it shows the live disk; what a writable export of a view may do beyond reading is
  /// to discard.
  public boolean isReadOnly(String nodeOrDevice) {
    NodeTable now = table;
    Optional<Node> node = now.node(nodeOrDevice);
    if (node.isPresent() && node.get().driver() instanceof Driver.SnapshotAccess) {
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
          boolean drives = exported.test(name) || table.root(name).equals(name);
          throw GraphException.busy((drives ? "Node " : "Block device ") + name + " is in use");
        }
        throw GraphException.failedToFind(name);
      }
      List<Node> gone = table.owned(found.get());
      List<String> names = gone.stream().map(Node::name).toList();
      requireUnused(found.get(), names);
      for (Node node : gone) {
        end(node);
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
      if (exported.test(name) || table.isRoot(name)) {
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
        if (!root.disk().equals(device)
            || table.chain(node).stream()
                .anyMatch(n -> n.driver() instanceof Driver.SnapshotAccess)) {
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

  /// To be called before a node is exported for writing, and before a snapshot-access node is
  /// exported at all: with its first user the copy-before-write nodes below begin to work, and
  /// their snapshots are taken. They last until the nodes go.
  public void beforeExport(String node) throws IOException {
    changes.lock();
    try {
      List<Node> waiting = new ArrayList<>();
      for (Node below : table.chain(node).reversed()) {
        if (below.isFilterOfWrites() && below.view().isEmpty()) {
          waiting.add(below);
        }
      }
      table = take(table, waiting);
    } finally {
      changes.unlock();
    }
  }

  /// From this table to that: snapshots that are new are taken, then all is as it says, then those
  /// that are gone end.
  @GuardedBy("changes")
  private void become(NodeTable next) throws IOException {
    NodeTable before = table;
    Map<String, Node> old = copiers(before);
    Map<String, Node> now = copiers(next);
    NodeTable after = take(next, now.values().stream().filter(n -> n.view().isEmpty()).toList());
    List<Node> ending = new ArrayList<>();
    for (Node node : old.values()) {
      if (!now.containsKey(node.name()) && after.node(node.name()).isPresent()) {
        ending.add(node);
        after = after.with(after.node(node.name()).get().withView(Optional.empty()));
      }
    }
    table = after;
    rethrottle(before, after);
    for (Node node : ending) {
      end(node);
    }
  }

  /// The copy-before-write nodes that somebody stands on who writes, the lowest first.
  private Map<String, Node> copiers(NodeTable of) {
    List<String> tops = new ArrayList<>(of.roots().values());
    of.nodes().values().stream()
        .filter(node -> !(node.driver() instanceof Driver.SnapshotAccess))
        .map(Node::name)
        .filter(exported)
        .forEach(tops::add);
    Map<String, Node> copiers = new LinkedHashMap<>();
    for (String top : tops) {
      of.chain(top).reversed().stream()
          .filter(Node::isFilterOfWrites)
          .forEach(node -> copiers.put(node.name(), node));
    }
    return copiers;
  }

  private NodeTable take(NodeTable from, List<Node> copiers) throws IOException {
    for (Node copier : copiers) {
      for (Node view : from.parents(copier.name())) {
        if (view.driver() instanceof Driver.SnapshotAccess && exported.test(view.name())) {
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
    NodeTable after = from;
    List<Node> taken = new ArrayList<>();
    for (Node copier : copiers) {
      try {
        engine.snapshot(CopierSnapshot.request(copier));
      } catch (IOException | RuntimeException e) {
        for (Node undone : taken) {
          try {
            engine.release(undone.name(), Optional.empty());
          } catch (IOException releasing) {
            e.addSuppressed(releasing);
          }
        }
        throw e;
      }
      Node inserted = copier.withView(Optional.of(copier.name()));
      taken.add(inserted);
      after = after.with(inserted);
    }
    return after;
  }

  private void end(Node node) throws IOException {
    // Somebody may have released it under its own name.
    if (node.isFilterOfWrites() && node.view().filter(engine::hasSnapshot).isPresent()) {
      engine.release(node.view().get(), Optional.empty());
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
      table = table.with(opened.nodes());
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
      table = table.without(accesses.nodesOf(target));
      accesses.close(target, outcome);
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
