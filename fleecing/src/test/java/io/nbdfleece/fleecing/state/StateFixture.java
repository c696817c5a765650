// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;

/// A disk's state over simulated files, on one thread: what workers have to do waits in a queue.
final class StateFixture {
  static final int GRANULE_BYTES = 64 << 10;
  static final long SIZE_BYTES = 64L << 20;
  static final long REGION_BYTES = 4 << 20;

  final FakeHost host = new FakeHost();
  final Deque<Runnable> tasks = new ArrayDeque<>();
  final List<String> lost = new ArrayList<>();
  SimulatedFiles files = new SimulatedFiles(new Random(1));
  final GuestDisk disk = new GuestDisk(files, host, SIZE_BYTES);

  FileDiskState open() throws IOException {
    return open(files);
  }

  FileDiskState open(SimulatedFiles from) throws IOException {
    return open(from, disk);
  }

  FileDiskState open(DiskIdentity identity) throws IOException {
    return open(files, identity);
  }

  private FileDiskState open(SimulatedFiles from, DiskIdentity identity) throws IOException {
    return FileDiskState.open(
        "vda", from, identity, tasks::add, host, lost::add, OptionalLong.empty());
  }

  void runTasks() {
    Runnable task = tasks.poll();
    while (task != null) {
      task.run();
      task = tasks.poll();
    }
  }

  void pass(FileDiskState state, int seconds) {
    host.pass(seconds);
    state.beat();
    state.tick();
    runTasks();
  }

  static BitmapRecord live(String name, DiskState.LiveContent content) {
    return record(name, content.content(), Form.LIVE);
  }

  static BitmapRecord record(String name, String content, Form form) {
    return new BitmapRecord(
        name,
        GRANULE_BYTES,
        content,
        form,
        form == Form.LIVE,
        false,
        false,
        Optional.empty(),
        Instant.EPOCH);
  }
}
