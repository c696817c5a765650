// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.Random;

/// A disk that knows which write each of its units came from, and loses what was not synced.
final class GuestDisk implements DiskIdentity {
  static final int UNIT_BYTES = 16 << 10;

  private final SimulatedFiles files;
  private final FakeHost host;
  private final long sizeBytes;
  private int writes;
  private long modified;
  int[] content;
  private int[] durable;
  String identity = "disk 1";

  /// What earlier versions called it.
  String former = "";

  /// Whether anybody can tell when it was modified: not of a block device.
  boolean tellsTime = true;

  /// How often somebody has asked when it was modified.
  int askedForTime;

  GuestDisk(SimulatedFiles files, FakeHost host, long sizeBytes) {
    this.files = files;
    this.host = host;
    this.sizeBytes = sizeBytes;
    this.content = new int[(int) Math.ceilDiv(sizeBytes, UNIT_BYTES)];
    this.durable = content.clone();
  }

  void write(long offsetBytes, long lengthBytes) {
    writes++;
    modified = host.epochNanos();
    int last = (int) ((offsetBytes + lengthBytes - 1) / UNIT_BYTES);
    for (int i = (int) (offsetBytes / UNIT_BYTES); i <= last; i++) {
      content[i] = writes;
    }
  }

  /// Somebody puts an older copy in its place, with the time of that one.
  void putBack(long modifiedEpochNanos) {
    modified = modifiedEpochNanos;
  }

  void powerFailure(Random random) {
    for (int i = 0; i < content.length; i++) {
      content[i] = random.nextBoolean() ? content[i] : durable[i];
    }
    durable = content.clone();
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public String identity() {
    return identity;
  }

  @Override
  public boolean wasKnownAs(String name) {
    return name.equals(former);
  }

  @Override
  public String stamp() {
    return writes + " " + Arrays.hashCode(content);
  }

  @Override
  public OptionalLong modifiedEpochNanos() {
    askedForTime++;
    return tellsTime ? OptionalLong.of(modified) : OptionalLong.empty();
  }

  @Override
  public void sync() throws IOException {
    files.step("sync disk");
    int[] now = content.clone();
    files.step("syncing disk");
    durable = now;
  }
}
