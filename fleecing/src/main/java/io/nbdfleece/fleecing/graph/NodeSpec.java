// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/// A node to add, as `blockdev-add` describes it.
///
/// @param nodeName must be there for the outermost one
/// @param readOnly whether what is below may be changed through it; may when absent
/// @param autoReadOnly whether a backend that cannot be written becomes read-only by itself
public record NodeSpec(
    Optional<String> nodeName, Optional<Boolean> readOnly, boolean autoReadOnly, Driver driver) {

  /// One that may be written, with default options.
  public NodeSpec(String nodeName, Driver driver) {
    this(Optional.of(nodeName), Optional.empty(), false, driver);
  }

  /// What kind of node, and its own options.
  public sealed interface Driver {

    /// QEMU's name of it.
    String wireName();

    /// A raw file (`file`) or block device (`host_device`).
    record FileBackend(String filename, FileKind kind) implements Driver {
      @Override
      public String wireName() {
        return switch (kind) {
          case REGULAR -> "file";
          case DEVICE -> "host_device";
        };
      }
    }

    /// An export of another server.
    record NbdBackend(NbdSource source) implements Driver {
      @Override
      public String wireName() {
        return "nbd";
      }
    }

    /// Zeroes that forget what is written.
    ///
    /// @param readZeroes whether it says that it is zeroes
    /// @param latencyNanos of each request
    record NullBackend(long sizeBytes, boolean readZeroes, long latencyNanos) implements Driver {
      @Override
      public String wireName() {
        return "null-co";
      }
    }

    /// What is below, as it is.
    record Raw(Child file) implements Driver {
      @Override
      public String wireName() {
        return "raw";
      }
    }

    /// Once it stands above a disk, a snapshot of it.
    ///
    /// @param target where QEMU keeps old content; checked and kept in use, but content goes to the
    ///   cluster store
    /// @param bitmap what the snapshot is about; reading outside of it fails
    /// @param cbwTimeout zero = no limit
    /// @param clusterBytesMin a power of two; our clusters may be smaller
    record CopyBeforeWrite(
        Child file,
        Child target,
        Optional<Bitmap> bitmap,
        OnCbwError onCbwError,
        Duration cbwTimeout,
        long clusterBytesMin)
        implements Driver {
      @Override
      public String wireName() {
        return "copy-before-write";
      }
    }

    /// The view of the snapshot of a copy-before-write node below.
    record SnapshotAccess(Child file) implements Driver {
      @Override
      public String wireName() {
        return "snapshot-access";
      }
    }

    /// A limit of the rate; nodes of one group share it.
    record Throttle(Child file, String group) implements Driver {
      @Override
      public String wireName() {
        return "throttle";
      }
    }
  }

  /// What a node stands on.
  public sealed interface Child {
    /// A node, or device, that is there.
    record Reference(String name) implements Child {}

    /// One that is made, and goes, with its parent.
    record Inline(NodeSpec spec) implements Child {}
  }

  /// A bitmap by the name of a node.
  public record Bitmap(String node, String name) {}

  /// What must be at a path.
  public enum FileKind {
    REGULAR,
    DEVICE
  }

  /// An export of another NBD server.
  ///
  /// @param reconnectDelay how long requests wait for the server to come back
  public record NbdSource(Server server, String export, Duration reconnectDelay) {}

  /// Where an NBD server listens.
  public sealed interface Server {
    record Unix(Path path) implements Server {}

    /// @param host a name or an address
    record Inet(String host, int port) implements Server {}
  }
}
