// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// Memory and processor time: of an idle server, of a busy one, of idle connections, of snapshots,
/// and of a huge disk. Each server is started for it. The memory is what the process has for
/// itself, without the page cache of files that it has mapped; a JVM collects its garbage before it
/// is looked at.
final class P10Footprint implements Workload {
  private static final int CONNECTIONS = 1000;
  private static final int SNAPSHOTS = 16;
  private static final int PULLS = 4;
  private static final int WRITES = 2;
  private static final int GOAL_KIB = 64;

  @Override
  public String id() {
    return "p10";
  }

  @Override
  public String title() {
    return "memory and processor time";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    Path image = bench.image("fresh");
    for (Build build : bench.options().builds()) {
      subjects.add(new Fresh(build, bench.place(), image, List.of()));
    }
    bench.plain(Transport.UNIX).stream()
        .filter(Subject::isPeer)
        .filter(subject -> subject.image().isPresent())
        .forEach(subjects::add);
    try {
      busy(bench, subjects);
      connections(bench, subjects);
    } finally {
      Bench.stop(subjects);
    }
    snapshots(bench, image);
    hugeDisk(bench, image);
  }

  private void busy(Bench bench, List<Subject> subjects) throws IOException, InterruptedException {
    Case idle =
        new Case(
            "idle, and after the work below", List.of(Metric.KIB, Metric.KIB_LATER), List.of());
    Case pulled = new Case("pull, 4 connections", List.of(Metric.CPU_SECONDS_PER_GIB), List.of());
    Case written =
        new Case("64 KiB writes, depth 16", List.of(Metric.CPU_SECONDS_PER_GIB), List.of());
    for (Subject subject : subjects) {
      bench.report().progress("memory and processor time, " + subject.name());
      try {
        subject.begin();
        double first = ProcessMemory.used(subject);
        // Not the start of a JVM is measured here, that is P9.
        pull(bench, subject);
        write(bench, subject);
        double start = ProcessTimes.cpuSeconds(subject.pid());
        pull(bench, subject);
        double middle = ProcessTimes.cpuSeconds(subject.pid());
        write(bench, subject);
        double end = ProcessTimes.cpuSeconds(subject.pid());
        double later = ProcessMemory.used(subject);
        double gib = bench.options().sizeMib() / 1024.0;
        idle.note(subject.name(), Map.of(Metric.KIB, first, Metric.KIB_LATER, later));
        pulled.note(
            subject.name(), Map.of(Metric.CPU_SECONDS_PER_GIB, (middle - start) / PULLS / gib));
        written.note(
            subject.name(), Map.of(Metric.CPU_SECONDS_PER_GIB, (end - middle) / WRITES / gib));
      } catch (IOException e) {
        idle.fail(subject.name(), "" + e.getMessage());
      } finally {
        subject.stop();
        bench.place().settle();
      }
    }
    bench.report().add(this, idle);
    bench.report().add(this, pulled);
    bench.report().add(this, written);
  }

  private static void pull(Bench bench, Subject subject) throws IOException, InterruptedException {
    for (int i = 0; i < PULLS; i++) {
      double _ = bench.pullSeconds(subject, 4);
    }
  }

  private static void write(Bench bench, Subject subject) throws IOException, InterruptedException {
    int sizeMib = bench.options().sizeMib();
    for (int i = 0; i < WRITES; i++) {
      Map<Metric, Double> _ =
          GuestLoads.CLUSTERS.requests(subject.diskUri(), sizeMib, sizeMib << 4);
    }
  }

  private void connections(Bench bench, List<Subject> subjects)
      throws IOException, InterruptedException {
    Case one = new Case("each of 1,000 idle connections", List.of(Metric.KIB), List.of());
    for (Subject subject : subjects) {
      bench.report().progress(one.title() + ", " + subject.name());
      try {
        subject.begin();
        Address address = subject.daemon().address();
        // The first ones make what all share.
        try (IdleClients _ = IdleClients.open(address, "vda", 100)) {
          double _ = ProcessMemory.used(subject);
        }
        double before = ProcessMemory.used(subject);
        try (IdleClients _ = IdleClients.open(address, "vda", CONNECTIONS)) {
          double each = (ProcessMemory.used(subject) - before) / CONNECTIONS;
          one.note(subject.name(), Map.of(Metric.KIB, each));
        }
      } catch (IOException e) {
        one.fail(subject.name(), "" + e.getMessage());
      } finally {
        subject.stop();
      }
    }
    bench.report().add(this, one);
    for (Build build : bench.options().builds()) {
      double each = one.median(build.title(), Metric.KIB);
      bench
          .report()
          .goal(this, one, "idle connection < 64 KiB", build.title(), each, each < GOAL_KIB);
    }
  }

  private void snapshots(Bench bench, Path image) throws IOException, InterruptedException {
    Case one = new Case("each of 16 snapshots", List.of(Metric.KIB), List.of());
    for (Build build : bench.options().builds()) {
      Fresh fresh = new Fresh(build, bench.place(), image, List.of());
      fresh.begin();
      try {
        fresh.server().execute("fleecing-start", "first");
        double before = ProcessMemory.used(fresh);
        for (int i = 0; i < SNAPSHOTS; i++) {
          fresh.server().execute("fleecing-start", "more" + i);
        }
        double each = (ProcessMemory.used(fresh) - before) / SNAPSHOTS;
        one.note(fresh.name(), Map.of(Metric.KIB, each));
      } finally {
        fresh.stop();
      }
    }
    bench.report().add(this, one);
  }

  // What a snapshot of 16 TiB takes more than one of a small disk.
  private void hugeDisk(Bench bench, Path image) throws IOException, InterruptedException {
    Case one = new Case("each TiB of a disk with a snapshot", List.of(Metric.KIB), List.of());
    Path huge = bench.place().sparse("huge.img", P8SparseDisk.HUGE_BYTES);
    for (Build build : bench.options().builds()) {
      double small = withSnapshot(bench, build, image);
      double big = withSnapshot(bench, build, huge);
      one.note(build.title(), Map.of(Metric.KIB, (big - small) / 16));
    }
    bench.report().add(this, one);
  }

  private static double withSnapshot(Bench bench, Build build, Path image)
      throws IOException, InterruptedException {
    Fresh fresh = new Fresh(build, bench.place(), image, List.of());
    fresh.begin();
    try {
      fresh.server().execute("fleecing-start", "first");
      return ProcessMemory.used(fresh);
    } finally {
      fresh.stop();
    }
  }
}
