// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The demo's proof must fail when it should: else it proves nothing.
final class FrozenProofTest {
  private static final int BLOCKS = 20_000;
  private static final DemoContent CONTENT = new DemoContent(7, BLOCKS);

  private final WriteJournal journal = new WriteJournal(BLOCKS);
  private Path image = Path.of("");

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void writeBase() throws IOException {
    image = directory.resolve("image");
    try (FileChannel channel =
        FileChannel.open(image, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (int block = 0; block < BLOCKS; block++) {
        put(channel, block, DemoContent.BASE);
      }
    }
  }

  @Test
  void baseContentAndAcknowledgedWritesAreRight() throws IOException {
    acknowledge(journal.started(3, 1));
    acknowledge(journal.started(3, 2));
    put(3, 2);
    assertEquals(new FrozenProof.Result(BLOCKS, 0, 0), proof(List.of()).check(image));
  }

  @Test
  void aLostWriteIsFound() {
    acknowledge(journal.started(3, 1));
    assertWrong(proof(List.of()), "block 3");
  }

  @Test
  void aWriteFromAfterTheFreezeIsFound() throws IOException {
    FrozenProof proof = proof(List.of());
    put(4, 9);
    assertWrong(proof, "block 4");
  }

  @Test
  void oneWrongByteInAHoleIsFound() throws IOException {
    int hole = 4000;
    assertTrue(!CONTENT.hasBase(hole));
    try (FileChannel channel = FileChannel.open(image, StandardOpenOption.WRITE)) {
      assertEquals(1, channel.write(ByteBuffer.wrap(new byte[] {1}), hole * 4096L + 4095));
    }
    assertWrong(proof(List.of()), "block " + hole);
  }

  @Test
  void aWriteInFlightMayBeInOrOut() throws IOException {
    int[] before = journal.startRecording();
    WriteJournal.Entry in = journal.started(5, 1);
    WriteJournal.Entry out = journal.started(6, 2);
    acknowledge(in);
    acknowledge(out);
    put(5, 1);
    FrozenProof proof = new FrozenProof(CONTENT, before, journal.stopRecording());
    assertEquals(new FrozenProof.Result(BLOCKS, 1, 1), proof.check(image));
  }

  @Test
  void aLaterWriteWithoutAnEarlierOneIsFound() throws IOException {
    int[] before = journal.startRecording();
    acknowledge(journal.started(5, 1));
    acknowledge(journal.started(6, 2));
    put(6, 2);
    assertWrong(new FrozenProof(CONTENT, before, journal.stopRecording()), "no instant");
  }

  @Test
  void aTornBlockIsFound() throws IOException {
    int[] before = journal.startRecording();
    acknowledge(journal.started(5, 1));
    ByteBuffer written = ByteBuffer.allocate(4096);
    CONTENT.fill(5, 1, written);
    try (FileChannel channel = FileChannel.open(image, StandardOpenOption.WRITE)) {
      assertEquals(512, channel.write(written.limit(512), 5 * 4096L));
    }
    assertWrong(new FrozenProof(CONTENT, before, journal.stopRecording()), "block 5");
  }

  private FrozenProof proof(List<WriteJournal.Entry> around) {
    return new FrozenProof(CONTENT, journal.startRecording(), around);
  }

  private void acknowledge(WriteJournal.Entry entry) {
    journal.acknowledged(entry);
  }

  private void assertWrong(FrozenProof proof, String expected) {
    CommandFailure failure = assertThrows(CommandFailure.class, () -> proof.check(image));
    assertTrue(Messages.of(failure).contains(expected), Messages.of(failure));
  }

  private void put(int block, int write) throws IOException {
    try (FileChannel channel = FileChannel.open(image, StandardOpenOption.WRITE)) {
      put(channel, block, write);
    }
  }

  private static void put(FileChannel channel, int block, int write) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(DemoContent.BLOCK_BYTES);
    CONTENT.fill(block, write, bytes);
    assertEquals(DemoContent.BLOCK_BYTES, channel.write(bytes, block * 4096L));
  }
}
