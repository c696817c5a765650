// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.DiskConfig.Access;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.block.NodeAbility;
import io.nbdfleece.fleecing.block.NullNode;
import io.nbdfleece.fleecing.graph.GraphEngine.GraphDisk;
import io.nbdfleece.fleecing.graph.Node.Owner;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntSupplier;
import java.util.regex.Pattern;

/// Makes the nodes of one `blockdev-add`, backends first. When it fails, [#undo] takes away what
/// was made until then. One thread.
final class NodeBuilder {
  private static final Pattern WELL_FORMED = Pattern.compile("[A-Za-z][A-Za-z0-9._-]*");
  private static final int NAME_LENGTH_MAX = 31;

  private final GraphEngine engine;
  private final NbdOpener opener;
  private final DelayTimer timer;
  private final NodeTable table;
  private final Set<String> groups;
  private final IntSupplier number;
  private final Map<String, Node> made = new LinkedHashMap<>();
  private final Deque<String> addedDisks = new ArrayDeque<>();

  /// @param groups names of the throttle groups
  /// @param number makes names for nodes that have none
  NodeBuilder(
      GraphEngine engine,
      NbdOpener opener,
      DelayTimer timer,
      NodeTable table,
      Set<String> groups,
      IntSupplier number) {
    this.engine = engine;
    this.opener = opener;
    this.timer = timer;
    this.table = table;
    this.groups = groups;
    this.number = number;
  }

  static boolean isWellFormed(String name) {
    return WELL_FORMED.matcher(name).matches();
  }

  /// The nodes, in the order they were made.
  NodeTable build(NodeSpec spec) throws IOException {
    String name =
        spec.nodeName()
            .orElseThrow(
                () -> GraphException.invalid("'node-name' must be specified for the root node"));
    Node _ = make(spec, name, Owner.MONITOR, false);
    return table.with(made.values());
  }

  /// Closes the backends that were opened.
  void undo(Exception because) {
    while (!addedDisks.isEmpty()) {
      try {
        engine.remove(addedDisks.removeLast());
      } catch (IOException e) {
        because.addSuppressed(e);
      }
    }
  }

  /// @param disk what its backend is called if it is made with it
  private Node make(NodeSpec spec, String disk, Owner owner, boolean parentReadOnly)
      throws IOException {
    String name = spec.nodeName().isPresent() ? spec.nodeName().get() : generatedName();
    if (spec.nodeName().isPresent()) {
      requireName(name);
    }
    boolean readOnly = spec.readOnly().orElse(parentReadOnly);
    Node node =
        switch (spec.driver()) {
          case Driver.FileBackend file -> file(name, file, spec, disk, owner, readOnly);
          case Driver.NbdBackend nbd -> nbd(name, nbd, spec, disk, owner, readOnly);
          case Driver.NullBackend zeroes -> zeroes(name, zeroes, disk, owner, readOnly);
          case Driver.Raw raw -> filter(name, raw, raw.file(), disk, owner, readOnly);
          case Driver.Throttle throttle -> throttle(name, throttle, disk, owner, readOnly);
          case Driver.CopyBeforeWrite cbw -> copyBeforeWrite(name, cbw, disk, owner, readOnly);
          case Driver.SnapshotAccess access -> snapshotAccess(name, access, owner);
        };
    if (made.putIfAbsent(name, node) != null) {
      throw duplicate(name); // its own child has taken it
    }
    return node;
  }

  private String generatedName() {
    String name;
    do {
      name = "#block" + String.format("%03d", number.getAsInt());
    } while (table.node(name).isPresent());
    return name;
  }

  private void requireName(String name) throws GraphException {
    if (!isWellFormed(name)) {
      throw GraphException.invalid("Invalid node-name: '" + name + "'");
    }
    if (table.node(name).isPresent()
        || made.containsKey(name)
        || (engine.disk(name).isPresent() && !addedDisks.contains(name))) {
      throw duplicate(name);
    }
    if (name.length() > NAME_LENGTH_MAX) {
      throw GraphException.invalid("Node name too long");
    }
  }

  private static GraphException duplicate(String name) {
    return GraphException.busy("Duplicate nodes with node-name='" + name + "'");
  }

  /// A node or disk that is there, or was just made.
  private Node named(String name) throws GraphException {
    Node own = made.get(name);
    if (own != null) {
      return own;
    }
    Optional<Node> node = table.node(name);
    if (node.isPresent()) {
      return node.get();
    }
    GraphDisk disk = engine.disk(name).orElseThrow(() -> GraphException.noNode(name));
    return new Node(
        name,
        new Driver.FileBackend(disk.config().location(), NodeSpec.FileKind.REGULAR),
        name,
        Optional.empty(),
        Optional.empty(),
        disk.readOnly(),
        Owner.ACCESS,
        Optional.empty());
  }

  private Node child(Child child, String disk, boolean readOnly) throws IOException {
    return switch (child) {
      case Child.Reference(String name) -> named(name);
      case Child.Inline(NodeSpec spec) -> make(spec, disk, Owner.PARENT, readOnly);
    };
  }

  private Node file(
      String name,
      Driver.FileBackend file,
      NodeSpec spec,
      String disk,
      Owner owner,
      boolean readOnly)
      throws IOException {
    Path path = path(file.filename());
    requireKind(file, path);
    boolean opened = readOnly || (spec.autoReadOnly() && !Files.isWritable(path));
    engine.add(config(disk, file.filename(), opened));
    return backend(name, file, disk, owner, opened);
  }

  private static Path path(String filename) throws GraphException {
    try {
      return Path.of(filename);
    } catch (InvalidPathException e) {
      throw GraphException.invalid("Could not open '" + filename + "': " + e.getReason());
    }
  }

  private static void requireKind(Driver.FileBackend file, Path path) throws GraphException {
    String filename = file.filename();
    if (!Files.exists(path)) {
      throw GraphException.invalid("Could not open '" + filename + "': No such file or directory");
    }
    if (Files.isDirectory(path)) {
      throw GraphException.invalid("Could not open '" + filename + "': Is a directory");
    }
    boolean regular = Files.isRegularFile(path);
    switch (file.kind()) {
      case REGULAR -> {
        if (!regular) {
          throw GraphException.invalid(
              "'file' driver requires '" + filename + "' to be a regular file");
        }
      }
      case DEVICE -> {
        if (regular) {
          throw GraphException.invalid(
              "'host_device' driver requires '"
                  + filename
                  + "' to be either a character or block device");
        }
      }
    }
  }

  private Node nbd(
      String name, Driver.NbdBackend nbd, NodeSpec spec, String disk, Owner owner, boolean readOnly)
      throws IOException {
    BlockNode node = opener.open(nbd.source());
    boolean cannotWrite = !node.abilities().contains(NodeAbility.WRITE);
    if (cannotWrite && !readOnly && !spec.autoReadOnly()) {
      node.close();
      throw GraphException.invalid(
          "request for write access denied: "
              + opener.location(nbd.source())
              + " is exported read-only: add the node with 'read-only': true");
    }
    boolean opened = readOnly || cannotWrite;
    engine.add(config(disk, opener.location(nbd.source()), opened), node);
    return backend(name, nbd, disk, owner, opened);
  }

  private Node zeroes(
      String name, Driver.NullBackend zeroes, String disk, Owner owner, boolean readOnly)
      throws IOException {
    NullNode.Content content =
        zeroes.readZeroes() ? NullNode.Content.ZEROES : NullNode.Content.UNKNOWN;
    BlockNode node = new NullNode(zeroes.sizeBytes(), content, zeroes.latencyNanos(), timer);
    engine.add(config(disk, "null-co://", readOnly), node);
    return backend(name, zeroes, disk, owner, readOnly);
  }

  private static DiskConfig config(String disk, String location, boolean readOnly) {
    return new DiskConfig(
        disk, location, readOnly ? Access.READ_ONLY : Access.READ_WRITE, DiskConfig.Listing.NODE);
  }

  private Node backend(String name, Driver driver, String disk, Owner owner, boolean readOnly) {
    addedDisks.add(disk);
    return new Node(
        name, driver, disk, Optional.empty(), Optional.empty(), readOnly, owner, Optional.empty());
  }

  private Node filter(
      String name, Driver driver, Child file, String disk, Owner owner, boolean readOnly)
      throws IOException {
    Node below = child(file, disk, readOnly);
    if (below.driver() instanceof Driver.SnapshotAccess) {
      throw GraphException.invalid(
          "Node '"
              + below.name()
              + "' (snapshot-access) cannot be the child of '"
              + name
              + "': export it as it is");
    }
    return new Node(
        name,
        driver,
        below.disk(),
        Optional.of(below.name()),
        Optional.empty(),
        readOnly || below.readOnly(),
        owner,
        Optional.empty());
  }

  private Node throttle(
      String name, Driver.Throttle throttle, String disk, Owner owner, boolean readOnly)
      throws IOException {
    if (!groups.contains(throttle.group())) {
      throw noGroup(throttle.group());
    }
    return filter(name, throttle, throttle.file(), disk, owner, readOnly);
  }

  static GraphException noGroup(String group) {
    return new GraphException(
        GraphException.Reason.NOT_FOUND, "Throttle group '" + group + "' does not exist");
  }

  private Node copyBeforeWrite(
      String name, Driver.CopyBeforeWrite cbw, String disk, Owner owner, boolean readOnly)
      throws IOException {
    if (Long.bitCount(cbw.clusterBytesMin()) > 1 || cbw.clusterBytesMin() < 0) {
      throw GraphException.invalid(
          "Cannot create block-copy-state: min-cluster-size needs to be a power of 2");
    }
    Node below = filter(name, cbw, cbw.file(), disk, owner, readOnly);
    Node target = child(cbw.target(), ownDisk(cbw.target()), false);
    if (target.readOnly()) {
      throw GraphException.invalid("Block node is read-only");
    }
    if (target.disk().equals(below.disk())) {
      throw GraphException.invalid("Source and target cannot be the same");
    }
    if (sizeBytes(target) != sizeBytes(below)) {
      throw GraphException.invalid("Source and target image have different sizes");
    }
    if (cbw.bitmap().isPresent()) {
      requireBitmap(cbw.bitmap().get(), below.disk());
    }
    return new Node(
        name,
        cbw,
        below.disk(),
        below.file(),
        Optional.of(target.name()),
        below.readOnly(),
        owner,
        Optional.empty());
  }

  /// What the backend of a child is called that is made with it and is no part of its parent's
  /// disk.
  private String ownDisk(Child child) {
    return child instanceof Child.Inline(NodeSpec spec) && spec.nodeName().isPresent()
        ? spec.nodeName().get()
        : generatedName();
  }

  private long sizeBytes(Node node) throws GraphException {
    return engine
        .disk(node.disk())
        .orElseThrow(() -> GraphException.noNode(node.disk()))
        .sizeBytes();
  }

  private void requireBitmap(NodeSpec.Bitmap bitmap, String disk) throws IOException {
    if (!made.containsKey(bitmap.node())
        && table.node(bitmap.node()).isEmpty()
        && engine.disk(bitmap.node()).isEmpty()) {
      throw new GraphException(
          GraphException.Reason.NOT_FOUND, "Node '" + bitmap.node() + "' not found");
    }
    Node owner = named(bitmap.node());
    if (owner.isView() || !owner.disk().equals(disk)) {
      throw GraphException.invalid(
          "Bitmap '"
              + bitmap.name()
              + "' of node '"
              + bitmap.node()
              + "' cannot be used for a snapshot of '"
              + disk
              + "': name a bitmap of '"
              + disk
              + "'");
    }
    BitmapInfo info =
        engine.bitmaps(disk).stream()
            .filter(known -> known.name().equals(bitmap.name()))
            .findFirst()
            .orElseThrow(
                () ->
                    new GraphException(
                        GraphException.Reason.NOT_FOUND,
                        "Dirty bitmap '" + bitmap.name() + "' not found"));
    if (info.inconsistent()) {
      throw GraphException.invalid(
          "Bitmap '" + bitmap.name() + "' is inconsistent and cannot be used");
    }
  }

  private Node snapshotAccess(String name, Driver.SnapshotAccess access, Owner owner)
      throws IOException {
    // A view has bitmaps of its own: so a disk below that is made with it needs another name.
    Node below = child(access.file(), ownDisk(access.file()), false);
    if (!(below.driver() instanceof Driver.CopyBeforeWrite)) {
      throw GraphException.invalid(
          "Node '"
              + below.name()
              + "' ("
              + below.driver().wireName()
              + ") has no snapshot: give 'file' of a snapshot-access node the name of a"
              + " copy-before-write node");
    }
    return new Node(
        name,
        access,
        below.disk(),
        Optional.of(below.name()),
        Optional.empty(),
        false,
        owner,
        Optional.empty());
  }
}
