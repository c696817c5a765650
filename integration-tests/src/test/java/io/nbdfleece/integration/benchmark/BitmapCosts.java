// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What dirty bitmaps cost: guest writes with 0, 1 and 8 of them that record, each 4 KiB write at
/// the beginning of a granule; their memory on a huge disk; and a start with fifty that were kept.
/// Beside qemu-storage-daemon, which keeps none for a raw disk.
final class BitmapCosts implements Workload {
  private static final List<Integer> COUNTS = List.of(0, 1, 8);
  private static final int KEPT = 50;

  @Override
  public String id() {
    return "bitmaps";
  }

  @Override
  public String title() {
    return "what dirty bitmaps cost";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    writes(bench);
    memory(bench);
    start(bench);
  }

  private void writes(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    List<Nbdfleece> servers = new ArrayList<>();
    Optional<PlainPeer> peer = Optional.empty();
    try {
      for (Build build : bench.options().builds()) {
        Nbdfleece server = serve(bench, build, "marks", bench.image("marks"));
        servers.add(server);
        WarmUp.run(bench, server);
        Subject disk = server.disk(Transport.UNIX);
        for (int count : COUNTS) {
          subjects.add(new WithBitmaps(disk, server.control(), "vda", count, false));
        }
        subjects.add(new WithBitmaps(disk, server.control(), "vda", 1, true));
        subjects.add(new WithBitmaps(disk, server.control(), "vda", 8, true));
      }
      peer = peer(bench, bench.image("qsd"));
      if (peer.isPresent()) {
        for (int count : COUNTS) {
          subjects.add(new WithBitmaps(peer.get(), control(bench), "disk", count, false));
        }
      }
      for (Fio load : List.of(GuestLoads.SMALL_ALONE, GuestLoads.SMALL)) {
        int sizeMib = bench.options().sizeMib();
        Case one = new Case(load.title(), List.of(Metric.IOPS, Metric.P99_MICROS), List.of());
        Fio perGranule = load.perCluster();
        bench.measure(
            this,
            one,
            subjects,
            subject -> perGranule.requests(subject.diskUri(), sizeMib, sizeMib << 3));
      }
    } finally {
      Bench.stop(List.copyOf(peer.stream().toList()));
      for (Nbdfleece server : servers) {
        server.stop();
      }
    }
  }

  // What one bitmap of a disk of 16 TiB takes, empty, and after writes all over the disk.
  private void memory(Bench bench) throws IOException, InterruptedException {
    Case one =
        new Case(
            "one bitmap of a disk of 16 TiB", List.of(Metric.KIB, Metric.KIB_LATER), List.of());
    Path image = bench.place().sparse("huge.img", P8SparseDisk.HUGE_BYTES);
    for (Build build : bench.options().builds()) {
      for (boolean kept : List.of(false, true)) {
        Nbdfleece server = serve(bench, build, "huge" + kept, image);
        try {
          Subject disk = server.disk(Transport.UNIX);
          memory(bench, one, new WithBitmaps(disk, server.control(), "vda", 1, kept));
        } finally {
          server.stop();
        }
      }
    }
    Optional<PlainPeer> peer = peer(bench, image);
    if (peer.isPresent()) {
      try {
        memory(bench, one, new WithBitmaps(peer.get(), control(bench), "disk", 1, false));
      } finally {
        peer.get().stop();
      }
    }
    bench.report().add(this, one);
  }

  private static void memory(Bench bench, Case one, WithBitmaps subject)
      throws IOException, InterruptedException {
    int hugeMib = (int) (P8SparseDisk.HUGE_BYTES >> 20);
    int writes = bench.options().sizeMib() << 3;
    Fio load = GuestLoads.SMALL;
    // What a first client costs does not belong to the bitmap.
    Map<Metric, Double> _ = load.requests(subject.diskUri(), hugeMib, writes);
    double before = ProcessMemory.used(subject);
    subject.begin();
    double empty = ProcessMemory.used(subject);
    Map<Metric, Double> _ = load.requests(subject.diskUri(), hugeMib, writes);
    double later = ProcessMemory.used(subject);
    one.note(subject.name(), Map.of(Metric.KIB, empty - before, Metric.KIB_LATER, later - before));
    subject.end();
  }

  private void start(Bench bench) throws IOException, InterruptedException {
    Case one = new Case("start", List.of(Metric.READY_MILLIS), List.of());
    Path image = bench.image("qsd");
    for (Build build : bench.options().builds()) {
      start(bench, build, image, one, 0, false);
      start(bench, build, image, one, KEPT, false);
      start(bench, build, image, one, KEPT, true);
    }
    bench.report().add(this, one);
  }

  private static void start(
      Bench bench, Build build, Path image, Case one, int kept, boolean killed)
      throws IOException, InterruptedException {
    String name = build.title() + ", " + kept + " bitmaps kept" + (killed ? ", after kill -9" : "");
    for (int i = 0; i <= bench.options().rounds(); i++) {
      Nbdfleece server = serve(bench, build, "start" + kept + killed, image);
      if (i == 0) {
        Subject disk = server.disk(Transport.UNIX);
        new WithBitmaps(disk, server.control(), "vda", kept, true).begin();
        Map<Metric, Double> _ =
            GuestLoads.SMALL.requests(disk.diskUri(), bench.options().sizeMib(), 1024);
      } else {
        one.note(name, Map.of(Metric.READY_MILLIS, server.daemon().readyMillis()));
      }
      if (killed) {
        server.kill();
      } else {
        server.stop();
      }
    }
  }

  private static Nbdfleece serve(Bench bench, Build build, String id, Path image)
      throws IOException, InterruptedException {
    String own = id + bench.options().builds().indexOf(build);
    return Nbdfleece.start(
        build,
        bench.place(),
        build.title(),
        own,
        image,
        List.of("--state", bench.place().resolve(own + ".state").toString()));
  }

  private static Path control(Bench bench) {
    return bench.place().resolve("qsd.qmp");
  }

  private static Optional<PlainPeer> peer(Bench bench, Path image)
      throws IOException, InterruptedException {
    if (!bench.wanted(QemuDaemon.PROGRAM, QemuDaemon.PROGRAM)) {
      return Optional.empty();
    }
    Path control = control(bench);
    List<String> monitor =
        List.of(
            "--chardev",
            "socket,id=qmp,server=on,wait=off,path=" + control,
            "--monitor",
            "chardev=qmp");
    Address address = Address.of(Transport.UNIX, bench.place(), "qsd-bitmaps");
    PlainPeer peer = QemuDaemon.of(bench.programs(), bench.place(), image, address, monitor);
    peer.begin();
    return Optional.of(peer);
  }
}
