// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/// A disk of 16 TiB with 1 GiB of data in sixteen places: its map, and a pull of it.
final class P8SparseDisk implements Workload {
  // ext4 ends one block before 16 TiB.
  static final long HUGE_BYTES = (16L << 40) - (1 << 20);
  private static final int PLACES = 16;
  private static final int PLACE_MIB = 64;
  private static final int SECONDS_MAX = 120;
  private static final int WARMING_MAPS = 20;
  private static final List<Goal> GOALS = List.of(Goal.ofAll(Metric.SECONDS, 1));

  @Override
  public String id() {
    return "p8";
  }

  @Override
  public String title() {
    return "map and pull of a sparse disk of 16 TiB with 1 GiB of data";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    List<Nbdfleece> servers = new ArrayList<>();
    Workplace place = bench.place();
    PeerPrograms programs = bench.programs();
    try {
      for (Build build : bench.options().builds()) {
        String id = "sparse" + servers.size();
        Path own = image(place, id + ".img");
        Nbdfleece server = Nbdfleece.start(build, place, build.title(), id, own, List.of());
        servers.add(server);
        subjects.add(server.withoutSnapshot());
        subjects.add(server.snapshot());
        warmUp(bench, server);
      }
      if (bench.wanted(QemuNbd.PROGRAM, QemuNbd.PROGRAM)) {
        subjects.add(
            QemuNbd.of(programs, place, image(place, "sparse-qemu-nbd.img"), Transport.UNIX));
      }
      if (bench.wanted(Nbdkit.PROGRAM, "nbdkit file")) {
        subjects.add(
            Nbdkit.file(programs, place, image(place, "sparse-nbdkit.img"), Transport.UNIX));
      }
      if (bench.wanted(QemuDaemon.PROGRAM, QemuFleecing.NAME)) {
        subjects.add(
            new QemuFleecing(
                programs,
                place,
                image(place, "sparse-qsd.img"),
                QemuFleecing.Format.QCOW2,
                place.directory()));
      }
      Case map = new Case("nbdinfo --map", List.of(Metric.SECONDS), GOALS);
      bench.measure(
          this,
          map,
          subjects,
          subject -> timed(programs.path("nbdinfo"), "--map", subject.pullUri()));
      Case pull = new Case("nbdcopy to null:", List.of(Metric.SECONDS), GOALS);
      bench.measure(
          this,
          pull,
          subjects,
          subject -> timed(programs.path("nbdcopy"), subject.pullUri(), "null:"));
    } finally {
      Bench.stop(subjects);
      for (Nbdfleece server : servers) {
        server.stop();
      }
    }
  }

  // Not as other servers: writes would make data of what is hole.
  private static void warmUp(Bench bench, Nbdfleece server)
      throws IOException, InterruptedException {
    Subject subject = server.snapshot();
    String map = bench.programs().path("nbdinfo");
    String pull = bench.programs().path("nbdcopy");
    WarmUp.run(
        bench,
        server.daemon(),
        () -> {
          subject.begin();
          for (int i = 0; i < WARMING_MAPS; i++) {
            Map<Metric, Double> _ = timed(map, "--map", subject.pullUri());
          }
          Map<Metric, Double> _ = timed(pull, subject.pullUri(), "null:");
          subject.end();
        });
  }

  private static Map<Metric, Double> timed(String... command)
      throws IOException, InterruptedException {
    return Map.of(Metric.SECONDS, Tool.seconds(List.of(command), SECONDS_MAX));
  }

  private static Path image(Workplace place, String name) throws IOException, InterruptedException {
    Path path = place.resolve(name);
    if (Files.exists(path)) {
      return path;
    }
    Path _ = place.sparse(name, HUGE_BYTES);
    byte[] mebibyte = new byte[1 << 20];
    new Random(1).nextBytes(mebibyte);
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      for (int i = 0; i < PLACES; i++) {
        file.seek((HUGE_BYTES / PLACES / (1 << 20) * i) << 20);
        for (int j = 0; j < PLACE_MIB; j++) {
          file.write(mebibyte);
        }
      }
    }
    place.settle();
    return path;
  }
}
