// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.function.ToLongFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import tools.jackson.databind.JsonNode;

/// What a server holds while nobody asks it for anything.
///
/// @param threads but for I/O workers, which come when the disk is slow and end when they have been
///   idle
/// @param heapBytes of objects, after a collection
/// @param bufferBytes outside of the heap, as far as the JVM counts it: direct buffers
/// @param scratchBytes that the scratch file takes on its file system
record SoakFigures(
    ProcessFigures process, int threads, long heapBytes, long bufferBytes, long scratchBytes) {
  private static final Pattern HEAP = Pattern.compile("heap\\b.*?used (\\d+)K");
  private static final Pattern BUFFERS =
      Pattern.compile("Other \\(reserved=\\d+KB, committed=(\\d+)KB");
  private static final Duration IDLE_MAX = Duration.ofSeconds(60);

  private static final long THREADS_MORE_MAX = 6;
  private static final long DESCRIPTORS_MORE_MAX = 2;
  private static final long HEAP_MORE_MAX = 10 << 20;
  private static final long BUFFERS_MORE_MAX = 32 << 20;
  private static final long ANONYMOUS_MORE_MAX = 64 << 20;
  private static final long SCRATCH_MORE_MAX = 1 << 20;

  /// The JVM options without which [#of] cannot tell heap and buffers.
  static String[] jvmOptions() {
    return new String[] {"-XX:NativeMemoryTracking=summary", "-XX:+UseG1GC"};
  }

  /// Waits until the server has given back what it gives back in its own time.
  static SoakFigures of(PackagedServer server, Path scratch) throws IOException {
    Awaitility.await("clients, preserved data and scratch space are gone")
        .atMost(IDLE_MAX)
        .pollInterval(Duration.ofMillis(50))
        .until(() -> isIdle(server, scratch));
    String _ = jcmd(server, "GC.run");
    // What the first one found unreachable may have been cleaned up after by now.
    String _ = jcmd(server, "GC.run");
    return new SoakFigures(
        server.figures(),
        ProcessFigures.threadsBesides(server.pid(), "nbdfleece-io"),
        number(HEAP, jcmd(server, "GC.heap_info")) << 10,
        number(BUFFERS, jcmd(server, "VM.native_memory", "summary", "scale=KB")) << 10,
        ProcessFigures.unnamedBytes(server.pid(), scratch));
  }

  private static boolean isIdle(PackagedServer server, Path scratch) throws IOException {
    try (ControlSocket control = server.control()) {
      for (JsonNode disk : control.execute("x-nbdfleece-query-disks", ControlSocket.object())) {
        if (disk.path("clients").asInt() > 0) {
          return false;
        }
      }
    }
    JsonNode store = server.store();
    return store.path("entries").asLong() == 0
        && store.path("disk-bytes").asLong() == 0
        && ProcessFigures.unnamedBytes(server.pid(), scratch) <= SCRATCH_MORE_MAX;
  }

  /// Fails when there is more at the end of the series than at its beginning, beyond noise: of the
  /// first third and of the last the median counts.
  static void assertFlat(List<SoakFigures> series) {
    assertFlat(series, "threads", SoakFigures::threads, THREADS_MORE_MAX);
    assertFlat(
        series, "descriptors", figures -> figures.process.descriptors(), DESCRIPTORS_MORE_MAX);
    assertFlat(series, "heap", SoakFigures::heapBytes, HEAP_MORE_MAX);
    assertFlat(series, "buffers", SoakFigures::bufferBytes, BUFFERS_MORE_MAX);
    assertFlat(
        series,
        "anonymous memory",
        figures -> figures.process.anonymousBytes(),
        ANONYMOUS_MORE_MAX);
    assertFlat(series, "scratch space", SoakFigures::scratchBytes, SCRATCH_MORE_MAX);
  }

  private static void assertFlat(
      List<SoakFigures> series, String what, ToLongFunction<SoakFigures> figure, long moreMax) {
    int third = Math.max(1, series.size() / 3);
    long before = median(series.subList(0, third), figure);
    long after = median(series.subList(series.size() - third, series.size()), figure);
    assertTrue(
        after - before <= moreMax,
        () -> what + " grew from " + before + " to " + after + "\n" + series);
  }

  private static long median(List<SoakFigures> series, ToLongFunction<SoakFigures> figure) {
    long[] sorted = series.stream().mapToLong(figure).sorted().toArray();
    return sorted[sorted.length / 2];
  }

  private static String jcmd(PackagedServer server, String... words) throws IOException {
    String jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd").toString();
    return Command.run(Command.join(List.of(jcmd, Long.toString(server.pid())), words))
        .succeeds()
        .out();
  }

  private static long number(Pattern pattern, String text) {
    Matcher matcher = pattern.matcher(text);
    assertTrue(matcher.find(), () -> "no " + pattern + " in " + text);
    return Long.parseLong(matcher.group(1));
  }

  @Override
  public String toString() {
    return String.format(
        Locale.ROOT,
        "threads %d, descriptors %d, heap %.1f MiB, buffers %.1f MiB, anonymous %.1f MiB,"
            + " scratch %d KiB",
        threads,
        process.descriptors(),
        heapBytes / 1048576.0,
        bufferBytes / 1048576.0,
        process.anonymousBytes() / 1048576.0,
        scratchBytes >> 10);
  }
}
