// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// One run: what the workloads share. Servers of nbdfleece live as long as the run, so that their
/// JVM is warm; peers as long as a case. Single-threaded.
final class Bench {
  private static final int DISK_TIER_RAM_MIB = 16;

  /// Where nbdfleece keeps what it preserves.
  enum Tier {
    RAM,
    DISK
  }

  private final Options options;
  private final Workplace place;
  private final PeerPrograms programs;
  private final Report report;
  private final Map<String, Nbdfleece> servers = new LinkedHashMap<>();

  Bench(Options options, Workplace place, PeerPrograms programs, Report report) {
    this.options = options;
    this.place = place;
    this.programs = programs;
    this.report = report;
  }

  Options options() {
    return options;
  }

  Workplace place() {
    return place;
  }

  PeerPrograms programs() {
    return programs;
  }

  Report report() {
    return report;
  }

  /// nbdfleece and all peers that serve a disk, each a copy of its own.
  List<Subject> plain(Transport transport) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    for (Build build : options.builds()) {
      subjects.add(nbdfleece(build, Tier.RAM).disk(transport));
    }
    if (wanted(QemuNbd.PROGRAM, QemuNbd.PROGRAM)) {
      subjects.add(QemuNbd.of(programs, place, image(QemuNbd.PROGRAM), transport));
    }
    if (wanted(Nbdkit.PROGRAM, "nbdkit file")) {
      subjects.add(Nbdkit.file(programs, place, image("nbdkit"), transport));
    }
    if (wanted(Nbdkit.PROGRAM, Nbdkit.MEMORY)) {
      subjects.add(Nbdkit.memory(programs, place, image("nbdkit"), options.sizeMib(), transport));
    }
    if (wanted(QemuDaemon.PROGRAM, QemuDaemon.PROGRAM)) {
      subjects.add(QemuDaemon.of(programs, place, image("qsd"), transport));
    }
    return subjects;
  }

  /// nbdfleece and the peers that can freeze a disk, with a fresh snapshot each turn.
  List<Subject> fleecing(Tier... tiers) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    for (Tier tier : tiers) {
      for (Build build : options.builds()) {
        subjects.add(nbdfleece(build, tier).snapshot());
      }
    }
    for (QemuFleecing.Format format : QemuFleecing.Format.values()) {
      if (wanted(QemuDaemon.PROGRAM, QemuFleecing.NAME + " " + format.title())) {
        // Not the image of the plain daemon, which may be up at the same time and locks its own.
        Path image = image("qsd-fleecing");
        subjects.add(new QemuFleecing(programs, place, image, format, place.directory()));
      }
    }
    return subjects;
  }

  boolean wanted(String program, String subject) {
    return programs.has(program)
        && (options.peers().isEmpty() || options.peers().stream().anyMatch(subject::startsWith));
  }

  /// An image of the size that was chosen, its own for each name.
  Path image(String name) throws IOException, InterruptedException {
    return place.image(name + ".img", options.sizeMib());
  }

  /// A server that is warm and stays.
  Nbdfleece nbdfleece(Build build, Tier tier) throws IOException, InterruptedException {
    String title = build.title() + (tier == Tier.DISK ? ", disk tier" : "");
    String id = "fleece" + options.builds().indexOf(build) + tier;
    Nbdfleece server = servers.get(id);
    if (server == null) {
      int ramMib = tier == Tier.RAM ? options.sizeMib() + DISK_TIER_RAM_MIB : DISK_TIER_RAM_MIB;
      server = Nbdfleece.start(build, place, title, id, image(id), List.of("--ram", ramMib + "M"));
      servers.put(id, server);
      WarmUp.run(this, server);
    }
    return server;
  }

  /// The seconds that nbdcopy takes to read everything.
  double pullSeconds(Subject subject, int connections) throws IOException, InterruptedException {
    return Tool.seconds(
        List.of(
            programs.path("nbdcopy"), "--connections=" + connections, subject.pullUri(), "null:"),
        600);
  }

  Map<Metric, Double> pull(Subject subject, int connections)
      throws IOException, InterruptedException {
    return Map.of(Metric.MIB_PER_SECOND, options.sizeMib() / pullSeconds(subject, connections));
  }

  /// Lets the subjects take turns, each once in every round, each round another one first.
  void measure(Workload workload, Case one, List<Subject> subjects, Measurement measurement)
      throws IOException, InterruptedException {
    List<Subject> able = new ArrayList<>(subjects);
    for (int round = -options.warmUpRounds(); round < options.rounds(); round++) {
      for (int i = 0; i < subjects.size(); i++) {
        Subject subject = subjects.get(Math.floorMod(i + round, subjects.size()));
        if (able.contains(subject)) {
          report.progress(
              one.title()
                  + (round < 0 ? ", warm-up, " : ", round " + (round + 1) + ", ")
                  + subject.name());
          turn(one, able, subject, measurement, round >= 0);
        }
      }
    }
    report.add(workload, one);
  }

  private void turn(
      Case one, List<Subject> able, Subject subject, Measurement measurement, boolean counts)
      throws IOException, InterruptedException {
    try {
      bringIntoCache(subject);
      subject.begin();
      Map<Metric, Double> measured = measurement.take(subject);
      if (counts) {
        one.note(subject.name(), measured);
      }
    } catch (IOException e) {
      if (place.isEnding()) {
        throw new InterruptedException(e.getMessage());
      }
      // One that cannot do this does not keep the others from being measured.
      able.remove(subject);
      one.fail(subject.name(), "" + e.getMessage());
    } finally {
      subject.end();
      place.settle();
    }
  }

  private void bringIntoCache(Subject subject) throws IOException, InterruptedException {
    Optional<Path> image = subject.image();
    // Not the huge ones, which are nearly all hole.
    if (image.isPresent() && Files.size(image.get()) <= (long) options.sizeMib() << 20) {
      place.bringIntoCache(image.get());
    }
  }

  /// Ends servers of one case.
  static void stop(List<Subject> subjects) throws IOException, InterruptedException {
    for (Subject subject : subjects) {
      subject.stop();
    }
  }

  void stop() throws IOException, InterruptedException {
    for (Nbdfleece server : servers.values()) {
      server.stop();
    }
  }
}
