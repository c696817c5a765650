// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// A directory on a disk that takes only so many bytes a second: ext4, mounted `sync`, on a loop
/// device on a file of nbdfuse on nbdkit's memory plugin behind its rate filter. Needs root. What
/// is not there makes it fail with the name of it.
final class SlowDisk {
  private static final int SIZE_MIB = 2048;
  private static final int PROBE_MIB = 32;
  private static final int WAIT_SECONDS_MAX = 20;
  private static final int POLL_MILLIS = 10;

  private final Path mountPoint;
  // Guarded by this: when it is interrupted, the hook of the JVM takes away what is there, after
  // the
  // main thread has built it.
  private final Deque<Workplace.Undo> undos = new ArrayDeque<>();

  private SlowDisk(Path mountPoint) {
    this.mountPoint = mountPoint;
  }

  static SlowDisk mount(PeerPrograms programs, Workplace place, int mibPerSecond)
      throws IOException, InterruptedException {
    SlowDisk disk = new SlowDisk(place.resolve("slow"));
    try {
      disk.build(programs, place, mibPerSecond);
      return disk;
    } catch (IOException | RuntimeException e) {
      disk.unmount();
      throw e;
    }
  }

  private synchronized void build(PeerPrograms programs, Workplace place, int mibPerSecond)
      throws IOException, InterruptedException {
    String who = Tool.run(List.of("id", "-u")).strip();
    if (!who.equals("0")) {
      throw new IOException("a slow disk needs loop devices and mounts: run p7 as root");
    }
    for (String needed : List.of("nbdfuse", "losetup", "mkfs.ext4", "mount", "umount")) {
      String _ = programs.path(needed);
    }
    Address address = Address.unix(place.resolve("slow.sock"));
    // A session of its own: ^C must not end it before what is mounted on it.
    Daemon server =
        Daemon.start(
            List.of(
                "setsid",
                programs.path(Nbdkit.PROGRAM),
                "--foreground",
                "--unix=" + address.socket(),
                "--filter=" + programs.nbdkitFilter("rate"),
                programs.nbdkitPlugin("memory"),
                "size=" + SIZE_MIB + "M",
                "rate=" + mibPerSecond * 8 + "M",
                // The first two seconds would be free of any limit.
                "burstiness=0.1"),
            place,
            address,
            place.resolve("slow.log"));
    place.atEnd(this::unmount);
    undos.push(server::stop);
    Path file = Files.createFile(place.resolve("slow.img"));
    Process fuse =
        new ProcessBuilder("setsid", programs.path("nbdfuse"), file.toString(), address.uri(""))
            .redirectErrorStream(true)
            .redirectOutput(place.resolve("slow-fuse.log").toFile())
            .start();
    undos.push(() -> Tool.stop(fuse));
    undos.push(() -> run("umount", file.toString()));
    long deadlineNanos = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS_MAX);
    while (Files.size(file) == 0) {
      if (fuse.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS) || System.nanoTime() > deadlineNanos) {
        throw new IOException("nbdfuse: " + Files.readString(place.resolve("slow-fuse.log")));
      }
    }
    String loop = Tool.run(List.of("losetup", "--find", "--show", file.toString())).strip();
    undos.push(() -> run("losetup", "--detach", loop));
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", "-O", "^has_journal", loop);
    Path _ = Files.createDirectory(mountPoint);
    run("mount", "-o", "sync", loop, mountPoint.toString());
    undos.push(() -> run("umount", mountPoint.toString()));
  }

  /// What it takes really, measured now.
  double mibPerSecond() throws IOException, InterruptedException {
    Path file = mountPoint.resolve("rate");
    double seconds =
        Tool.seconds(
            List.of("dd", "if=/dev/zero", "of=" + file, "bs=1M", "count=" + PROBE_MIB), 60);
    Files.delete(file);
    return PROBE_MIB / seconds;
  }

  Path directory() {
    return mountPoint;
  }

  private static void run(String... command) throws IOException, InterruptedException {
    String _ = Tool.run(List.of(command));
  }

  /// Takes all of it away, the last first. Idempotent.
  synchronized void unmount() throws IOException, InterruptedException {
    List<String> failures = new ArrayList<>();
    for (Workplace.Undo undo = undos.poll(); undo != null; undo = undos.poll()) {
      try {
        undo.run();
      } catch (IOException e) {
        failures.add(e.getMessage());
      }
    }
    if (!failures.isEmpty()) {
      throw new IOException("slow disk not taken away: " + String.join("; ", failures));
    }
  }
}
