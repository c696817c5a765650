// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

/// A machine whose clock and starts the test makes.
final class FakeHost implements Host {
  private int boots = 1;
  private long now = 1_700_000_000_000_000_000L;
  private long booted = now;

  /// Passes zero before long, and so do differences that are taken wrongly.
  private long nanoTime = -5_000_000_000L;

  void pass(double seconds) {
    now += (long) (seconds * 1e9);
    nanoTime += (long) (seconds * 1e9);
  }

  /// Somebody sets the clock on the wall.
  void setClock(double secondsForward) {
    now += (long) (secondsForward * 1e9);
  }

  void reboot() {
    boots++;
    pass(30);
    booted = now;
    pass(10);
  }

  @Override
  public long epochNanos() {
    return now;
  }

  @Override
  public long nanoTime() {
    return nanoTime;
  }

  @Override
  public String bootId() {
    return "boot-" + boots;
  }

  @Override
  public long bootedEpochNanos() {
    return booted;
  }
}
