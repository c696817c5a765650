// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.state.DiskState;
import io.nbdfleece.fleecing.state.FileDiskIdentity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A disk with persistent bitmaps and checkpoints over two runs of the server, with each call on a
/// state file failing once, with EIO and with ENOSPC. The guest never notices; a command is carried
/// out or not at all; and whatever the next run finds, no bitmap that can be used lacks a write.
@Timeout(300)
final class FailedStateCallTest {
  private static final String DISK = "vda";

  @TempDir(factory = MemoryDirectory.class)
  private Path directory;

  private final AtomicInteger folders = new AtomicInteger();

  /// What must be dirty in a bitmap, or since a checkpoint.
  private final Map<String, Set<Integer>> must = new HashMap<>();

  private int found;
  private int inconsistent;

  private FleecingEngine open(Path folder, NthCall calls) throws IOException {
    FleecingEngine engine =
        FleecingEngine.open(
            new EngineConfig(EngineRig.GRANULE, 4 << 20, folder, 0, 2),
            Optional.of(
                new CountedStates(
                    folder.resolve("state"),
                    calls::meet,
                    disk -> Optional.of(FileDiskIdentity.of(Path.of(disk.location()))))),
            System::nanoTime);
    try {
      var _ =
          engine.addDisk(
              new DiskConfig(
                  DISK, folder.resolve("vda.img").toString(), DiskConfig.Access.READ_WRITE));
      return engine;
    } catch (IOException e) {
      engine.close();
      throw e;
    }
  }

  private interface Command {
    void run() throws IOException;
  }

  /// @return whether it was carried out; if not, it changed nothing
  private boolean command(FleecingEngine engine, NthCall calls, Command command)
      throws IOException {
    List<BitmapInfo> before = engine.bitmaps(DISK);
    try {
      command.run();
      return true;
    } catch (IOException e) {
      assertTrue(calls.failed().isPresent(), () -> "refused: " + e);
      assertEquals(names(before), names(engine.bitmaps(DISK)), "half of a command");
      return false;
    }
  }

  private static List<String> names(List<BitmapInfo> infos) {
    return infos.stream().map(BitmapInfo::name).toList();
  }

  /// The guest's writes succeed, whatever becomes of the state.
  private void write(FleecingEngine engine, int... granules) throws IOException {
    for (int granule : granules) {
      EngineRig.Done done = new EngineRig.Done();
      engine
          .disk(DISK)
          .orElseThrow()
          .top()
          .apply(
              new Mutation.Write(
                  (long) granule * EngineRig.GRANULE + 5,
                  ByteBuffer.allocateDirect(10).put(0, (byte) 1),
                  Mutation.Durability.CACHED),
              done);
      var _ = EngineRig.get(done.future);
      must.values().forEach(dirty -> dirty.add(granule));
    }
  }

  private void firstRun(FleecingEngine engine, NthCall calls) throws IOException {
    if (command(
        engine,
        calls,
        () -> {
          var _ = EngineRig.get(engine.transact(List.of(EngineRig.add(DISK, "b0", true))));
        })) {
      must.put("b0", new TreeSet<>());
    }
    write(engine, 1, 2);
    if (command(
        engine,
        calls,
        () -> {
          var _ =
              EngineRig.get(
                  engine.snapshot(
                      EngineRig.request("s0", Optional.of("c0"), Optional.empty(), DISK)));
        })) {
      Set<Integer> since = new TreeSet<>();
      must.put("c0", since);
      write(engine, 3);
      if (command(
          engine,
          calls,
          () -> {
            var _ = engine.release("s0", ReleaseOutcome.SUCCESS);
          })) {
        write(engine, 4);
      } else {
        must.remove("c0"); // it waits for its success, and is undone at the end
      }
    }
    engine.disk(DISK).orElseThrow().tracking().state().ifPresent(DiskState::tick);
    write(engine, 9);
    if (must.containsKey("b0")
        && command(
            engine,
            calls,
            () -> {
              var _ =
                  EngineRig.get(
                      engine.transact(
                          List.of(new TransactionAction.ClearBitmap(new BitmapRef(DISK, "b0")))));
            })) {
      must.put("b0", new TreeSet<>());
    }
    write(engine, 6);
  }

  private void look(FleecingEngine engine) throws IOException {
    for (BitmapInfo info : engine.bitmaps(DISK)) {
      found++;
      if (info.inconsistent()) {
        inconsistent++;
        continue;
      }
      Set<Integer> dirty = new TreeSet<>(EngineRig.granules(engine.dirtySince(DISK, info.name())));
      Set<Integer> needed = must.getOrDefault(info.name(), Set.of());
      assertTrue(
          dirty.containsAll(needed),
          () -> info.name() + " lacks a write: " + dirty + ", must have " + needed);
    }
  }

  private void play(NthCall calls) throws IOException {
    Path folder = Files.createDirectory(directory.resolve("n" + folders.incrementAndGet()));
    Files.write(folder.resolve("vda.img"), new byte[EngineRig.SIZE]);
    must.clear();
    FleecingEngine first;
    try {
      first = open(folder, calls);
    } catch (IOException e) {
      assertTrue(calls.failed().isPresent(), () -> "not opened: " + e);
      return; // said so at the start, and nothing was served
    }
    try {
      firstRun(first, calls);
      look(first);
    } finally {
      close(first, calls);
    }
    try {
      FleecingEngine again = open(folder, calls);
      try {
        look(again);
        write(again, 11);
        look(again);
      } finally {
        close(again, calls);
      }
    } catch (IOException e) {
      assertTrue(calls.failed().isPresent(), () -> "not opened again: " + e);
    }
    FleecingEngine last = open(folder, new NthCall(0, 0, NthCall.Stretch.ONCE));
    try {
      look(last);
    } finally {
      last.close();
    }
  }

  private static void close(FleecingEngine engine, NthCall calls) throws IOException {
    try {
      engine.close();
    } catch (IOException e) {
      assertTrue(calls.failed().isPresent(), () -> "not closed: " + e);
    }
  }

  @Test
  void noBitmapLacksAWriteWhicheverCallFails() throws IOException {
    NthCall counted = new NthCall(0, 0, NthCall.Stretch.ONCE);
    play(counted);
    assertEquals(0, inconsistent);
    List<String> struck = new ArrayList<>();
    int runs = 0;
    for (int n = 1; n <= counted.count() + 3; n++) {
      for (int errno : List.of(Errno.EIO, Errno.ENOSPC)) {
        NthCall nth = new NthCall(n, errno, NthCall.Stretch.ONCE);
        try {
          play(nth);
        } catch (AssertionError | RuntimeException | IOException e) {
          throw new AssertionError("persistent bitmap: call " + n + " failed: " + nth.failed(), e);
        }
        runs++;
        nth.failed().ifPresent(struck::add);
      }
    }
    System.out.println(
        "FailedStateCallTest: runs: "
            + runs
            + ", calls failed: "
            + struck.size()
            + ", bitmaps found: "
            + found
            + ", of these inconsistent: "
            + inconsistent);
    assertTrue(struck.size() > runs / 2 && inconsistent > 0, "it misses its purpose");
  }
}
