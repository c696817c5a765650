// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.StatusCompletion;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// A disk in an array. Completes inline, unless [#hold] keeps the requests for a test to complete.
class MemoryExport implements Export, ExportCatalog {
  static final Set<Ability> WRITABLE = EnumSet.complementOf(EnumSet.of(Ability.ROTATIONAL));

  final byte[] disk;
  final ExportInfo info;
  final AtomicInteger connected = new AtomicInteger();
  final AtomicInteger disconnected = new AtomicInteger();
  final AtomicInteger started = new AtomicInteger();

  /// Requests not done yet: running one does the work and completes it.
  final BlockingQueue<Runnable> held = new LinkedBlockingQueue<>();

  volatile boolean hold;

  /// What the next requests do instead of their work.
  volatile @Nullable Fault fault;

  volatile @Nullable List<ContextExtents> statuses;
  volatile long statusLengthAsked;
  volatile String lastCall = "";

  interface Fault {
    void complete(Completion done);
  }

  MemoryExport(int sizeBytes, Set<Ability> abilities) {
    this(sizeBytes, abilities, List.of(ExportInfo.BASE_ALLOCATION, "qemu:dirty-bitmap:b0"));
  }

  MemoryExport(int sizeBytes, Set<Ability> abilities, List<String> contexts) {
    disk = new byte[sizeBytes];
    info = new ExportInfo(sizeBytes, "memory disk", abilities, 4096, contexts);
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    return name.isEmpty() || name.equals("disk") ? Optional.of(this) : Optional.empty();
  }

  @Override
  public String canonicalName(String name, ClientIdentity client) {
    return name.isEmpty() ? "disk" : name;
  }

  @Override
  public List<String> names(ClientIdentity client) {
    return List.of("disk");
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  @Override
  public void connected() {
    connected.incrementAndGet();
  }

  @Override
  public void disconnected() {
    disconnected.incrementAndGet();
  }

  private void run(Completion done, Runnable work) {
    started.incrementAndGet();
    Fault now = fault;
    Runnable whole =
        () -> {
          if (now != null) {
            now.complete(done);
          } else {
            work.run();
            done.succeeded();
          }
        };
    if (hold) {
      held.add(whole);
    } else {
      whole.run();
    }
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    run(done, () -> target.put(disk, (int) offsetBytes, target.remaining()));
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    lastCall = "write " + durability;
    run(done, () -> data.get(disk, (int) offsetBytes, data.remaining()));
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    lastCall = "trim " + durability;
    run(done, () -> zero(offsetBytes, lengthBytes));
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    lastCall = "zero " + zeroing + " " + durability;
    run(done, () -> zero(offsetBytes, lengthBytes));
  }

  private void zero(long offsetBytes, long lengthBytes) {
    java.util.Arrays.fill(disk, (int) offsetBytes, (int) (offsetBytes + lengthBytes), (byte) 0);
  }

  @Override
  public void flush(Completion done) {
    lastCall = "flush";
    run(done, () -> {});
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    lastCall = "cache";
    run(done, () -> {});
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    started.incrementAndGet();
    statusLengthAsked = lengthBytes;
    lastCall = "status " + contexts + " " + extentsMax;
    List<ContextExtents> prepared = statuses;
    Runnable whole =
        () ->
            done.succeeded(
                prepared != null
                    ? prepared
                    : contexts.stream()
                        .map(name -> new ContextExtents(name, List.of(new Extent(lengthBytes, 0))))
                        .toList());
    if (hold) {
      held.add(whole);
    } else {
      whole.run();
    }
  }
}
