// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// What another server holds, in an array: with the abilities that a test wants, a record of what
/// it was asked, and errors on demand. Like a server it refuses what is not aligned.
final class UpstreamDisk implements Export {
  final byte[] disk;
  final List<String> asked = new ArrayList<>();
  final Map<String, List<Extent>> extents = new HashMap<>();

  /// When set, requests wait here to be run.
  @Nullable List<Runnable> held;

  private final ExportInfo info;
  private final Map<String, IOException> failures = new HashMap<>();

  UpstreamDisk(int sizeBytes, Set<Ability> abilities, int minimumBlockBytes, String... contexts) {
    disk = new byte[sizeBytes];
    info =
        new ExportInfo(
            sizeBytes, "upstream", abilities, minimumBlockBytes, 65_536, List.of(contexts));
  }

  UpstreamDisk(int sizeBytes, Set<Ability> abilities) {
    this(sizeBytes, abilities, 1, ExportInfo.BASE_ALLOCATION);
  }

  /// The next request of this kind fails so.
  void failNext(String command, IOException error) {
    failures.put(command, error);
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  private void run(
      String command,
      long offsetBytes,
      long lengthBytes,
      String how,
      Runnable work,
      Completion done) {
    asked.add(command + " " + offsetBytes + "+" + lengthBytes + how);
    if (offsetBytes % info.minimumBlockBytes() != 0
        || lengthBytes % info.minimumBlockBytes() != 0) {
      throw new AssertionError("not aligned: " + asked.getLast());
    }
    IOException failure = failures.remove(command);
    Runnable whole =
        () -> {
          if (failure == null) {
            work.run();
            done.succeeded();
          } else {
            done.failed(failure);
          }
        };
    if (held == null) {
      whole.run();
    } else {
      held.add(whole);
    }
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    int length = target.remaining();
    run("read", offsetBytes, length, "", () -> target.put(disk, (int) offsetBytes, length), done);
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    int length = data.remaining();
    run(
        "write",
        offsetBytes,
        length,
        " " + durability,
        () -> data.get(disk, (int) offsetBytes, length),
        done);
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    run(
        "trim",
        offsetBytes,
        lengthBytes,
        " " + durability,
        () -> Arrays.fill(disk, (int) offsetBytes, (int) (offsetBytes + lengthBytes), (byte) 0),
        done);
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    run(
        "zero",
        offsetBytes,
        lengthBytes,
        " " + zeroing + " " + durability,
        () -> Arrays.fill(disk, (int) offsetBytes, (int) (offsetBytes + lengthBytes), (byte) 0),
        done);
  }

  @Override
  public void flush(Completion done) {
    run("flush", 0, 0, "", () -> {}, done);
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    run("cache", offsetBytes, lengthBytes, "", () -> {}, done);
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    asked.add("status " + offsetBytes + "+" + lengthBytes + " " + contexts);
    done.succeeded(
        contexts.stream()
            .map(
                name ->
                    new ContextExtents(
                        name, extents.getOrDefault(name, List.of(new Extent(lengthBytes, 0)))))
            .toList());
  }
}
