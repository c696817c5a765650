// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.hook.HookListener;

/// One line per event for the operator.
final class EventLog implements HookListener {
  private final System.Logger log;

  EventLog(System.Logger log) {
    this.log = log;
  }

  @Override
  public void snapshotBroken(String disk, String snapshot, String reason) {
    log.log(
        System.Logger.Level.ERROR,
        "snapshot {0} of disk {1} is broken: {2}; release it and take a new one",
        snapshot,
        disk,
        reason);
  }

  @Override
  public void clusterLost(String disk, long offsetBytes, long lengthBytes, String reason) {
    log.log(
        System.Logger.Level.WARNING,
        "snapshots of disk {0} lack {1} bytes at offset {2}: {3}",
        disk,
        Long.toString(lengthBytes),
        Long.toString(offsetBytes),
        reason);
  }
}
