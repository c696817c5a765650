// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.state.FileDiskIdentity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The server ends in order, and cannot note that in the state directory: what it says, and what
/// the next one finds.
@Timeout(60)
final class StateFullAtTheEndTest {
  private static final int GRANULE = EngineRig.GRANULE;

  @TempDir private Path directory;

  /// Beginning of the calls that fail, once another one has been made.
  private record Fault(String after, String failing) {}

  private final AtomicReference<Optional<Fault>> fault = new AtomicReference<>(Optional.empty());

  private Path disk() {
    return directory.resolve("vda.img");
  }

  @BeforeEach
  void makeDisk() throws IOException {
    Files.write(disk(), new byte[EngineRig.SIZE]);
  }

  private FleecingEngine open() throws IOException {
    FleecingEngine engine =
        FleecingEngine.open(
            new EngineConfig(GRANULE, 4 << 20, directory, 0, 2),
            Optional.of(
                new CountedStates(
                    directory.resolve("state"),
                    this::meet,
                    _ -> Optional.of(FileDiskIdentity.of(disk())))),
            System::nanoTime);
    var _ = engine.addDisk(new DiskConfig("vda", disk().toString(), DiskConfig.Access.READ_WRITE));
    return engine;
  }

  private void meet(String call) throws IOException {
    Optional<Fault> now = fault.get();
    if (now.filter(f -> call.startsWith(f.after())).isPresent()) {
      fault.set(now.map(f -> new Fault("", f.failing())));
    }
    if (now.filter(f -> f.after().isEmpty() && call.startsWith(f.failing())).isPresent()) {
      throw new PosixException(call, Errno.ENOSPC);
    }
  }

  /// @return what the end says when calls fail
  private String end(Fault with) throws IOException {
    FleecingEngine engine = open();
    var _ = EngineRig.get(engine.transact(List.of(EngineRig.add("vda", "b0", true))));
    EngineRig.Done done = new EngineRig.Done();
    engine
        .disk("vda")
        .orElseThrow()
        .top()
        .apply(
            new Mutation.Write(
                3 * GRANULE,
                ByteBuffer.allocateDirect(1).put(0, (byte) 1),
                Mutation.Durability.CACHED),
            done);
    var _ = EngineRig.get(done.future);
    fault.set(Optional.of(with));
    String text = EngineRig.message(assertThrows(IOException.class, engine::close));
    fault.set(Optional.empty());
    return text;
  }

  @Test
  void nextStartFindsTheBitmapsExactWhenTheListHadNoRoom() throws IOException {
    String text = end(new Fault("", "write bitmaps.new"));
    assertTrue(text.contains("disk vda: its bitmaps could not be closed: write bitmaps.new"), text);
    assertTrue(text.contains("none is lost") && text.contains("make room"), text);
    try (FleecingEngine engine = open()) {
      assertFalse(engine.bitmaps("vda").getFirst().inconsistent());
      assertEquals(List.of(3), EngineRig.granules(engine.dirtySince("vda", "b0")));
    }
  }

  @Test
  void bitmapsAreToldToBeLostWhenItIsNotKnownWhichListCounts() throws IOException {
    String text = end(new Fault("rename bitmaps.new", "force names"));
    assertTrue(text.contains("they are lost: take a full backup"), text);
    try (FleecingEngine engine = open()) {
      assertEquals(List.of(), engine.bitmaps("vda"));
    }
  }
}
