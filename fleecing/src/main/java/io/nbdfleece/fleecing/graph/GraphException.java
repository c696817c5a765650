// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import java.io.IOException;

/// The graph cannot do what was asked; nothing has changed. The messages are QEMU's where QEMU has
/// one.
public final class GraphException extends IOException {
  private static final long serialVersionUID = 1;

  private final Reason reason;

  public GraphException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  static GraphException invalid(String message) {
    return new GraphException(Reason.INVALID, message);
  }

  static GraphException busy(String message) {
    return new GraphException(Reason.BUSY, message);
  }

  static GraphException noNode(String name) {
    return new GraphException(
        Reason.NOT_FOUND, "Cannot find device='" + name + "' nor node-name='" + name + "'");
  }

  static GraphException failedToFind(String name) {
    return new GraphException(
        Reason.NOT_FOUND, "Failed to find node with node-name='" + name + "'");
  }

  static GraphException noDevice(String path) {
    return new GraphException(Reason.NO_DEVICE, "Device '" + path + "' not found");
  }

  public Reason reason() {
    return reason;
  }

  /// What kind of failure it is, for exit codes and error classes.
  public enum Reason {
    NOT_FOUND,
    /// QEMU's class DeviceNotFound.
    NO_DEVICE,
    BUSY,
    INVALID
  }
}
