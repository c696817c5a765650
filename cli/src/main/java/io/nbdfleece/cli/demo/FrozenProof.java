// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// Compares an image, byte for byte, with what the disk was at the freeze.
///
/// For nearly every block one content is right: the last write acknowledged before the freeze was
/// asked for. A write that was in flight at some time between the question and the answer may be in
/// the frozen view or not; but all those decisions must fit one instant. That instant exists if and
/// only if each write that is visible started before each write that is not visible was
/// acknowledged: otherwise the view shows a later write without an earlier one.
final class FrozenProof {
  private static final int CHUNK_BLOCKS = 256;

  private final DemoContent content;
  private final int[] beforeFreeze;
  private final List<WriteJournal.Entry> around;

  /// @param beforeFreeze last write acknowledged when the freeze was asked for, by block
  /// @param around writes in flight between the question and the answer, in order of their start
  FrozenProof(DemoContent content, int[] beforeFreeze, List<WriteJournal.Entry> around) {
    this.content = content;
    this.beforeFreeze = beforeFreeze.clone();
    this.around = List.copyOf(around);
  }

  /// Compares; fails naming the first block that is wrong.
  Result check(Path image) throws IOException {
    Map<Integer, List<WriteJournal.Entry>> open = new HashMap<>();
    for (WriteJournal.Entry entry : around) {
      open.computeIfAbsent(entry.block, block -> new ArrayList<>()).add(entry);
    }
    Cut cut = new Cut();
    ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BLOCKS * DemoContent.BLOCK_BYTES);
    ByteBuffer expected = ByteBuffer.allocateDirect(DemoContent.BLOCK_BYTES);
    try (FileChannel channel = FileChannel.open(image, StandardOpenOption.READ)) {
      long sizeBytes = (long) content.blockCount() * DemoContent.BLOCK_BYTES;
      if (channel.size() != sizeBytes) {
        throw wrong("size " + channel.size() + " (expected: " + sizeBytes + ")");
      }
      for (int first = 0; first < content.blockCount(); first += CHUNK_BLOCKS) {
        read(channel, chunk, first);
        for (int i = 0; i < CHUNK_BLOCKS && first + i < content.blockCount(); i++) {
          ByteBuffer block = chunk.slice(i * DemoContent.BLOCK_BYTES, DemoContent.BLOCK_BYTES);
          checkBlock(first + i, block, expected, open.getOrDefault(first + i, List.of()), cut);
        }
      }
    }
    if (cut.latestVisibleStart >= cut.earliestInvisibleEnd) {
      throw wrong("no instant: it shows a write that started after a write it lacks had ended");
    }
    return new Result(content.blockCount(), cut.visible, cut.invisible);
  }

  private static void read(FileChannel channel, ByteBuffer chunk, int firstBlock)
      throws IOException {
    chunk.clear();
    long at = (long) firstBlock * DemoContent.BLOCK_BYTES;
    while (chunk.hasRemaining()) {
      int count = channel.read(chunk, at);
      if (count < 0) {
        return;
      }
      at += count;
    }
  }

  private void checkBlock(
      int block, ByteBuffer actual, ByteBuffer expected, List<WriteJournal.Entry> open, Cut cut)
      throws CommandFailure {
    // How many of the open writes to this block are visible: 0, the first, the first two …
    for (int visible = 0; visible <= open.size(); visible++) {
      int write = visible == 0 ? beforeFreeze[block] : open.get(visible - 1).write;
      content.fill(block, write, expected);
      if (actual.mismatch(expected) < 0) {
        cut.add(open.subList(0, visible), open.subList(visible, open.size()));
        return;
      }
    }
    throw wrong(
        "block "
            + block
            + " at offset "
            + (long) block * DemoContent.BLOCK_BYTES
            + " is not what it was (last write before the freeze: "
            + beforeFreeze[block]
            + ", in flight: "
            + open.size()
            + ")");
  }

  private static CommandFailure wrong(String what) {
    return new CommandFailure(ExitCode.FAILED, "the frozen view is WRONG: " + what);
  }

  /// What was compared.
  ///
  /// @param visible of the writes in flight around the freeze, those in the frozen view
  record Result(int blocks, int visible, int invisible) {}

  /// The bounds of the instant.
  private static final class Cut {
    private int visible;
    private int invisible;
    private long latestVisibleStart = Long.MIN_VALUE;
    private long earliestInvisibleEnd = Long.MAX_VALUE;

    void add(List<WriteJournal.Entry> seen, List<WriteJournal.Entry> unseen) {
      visible += seen.size();
      invisible += unseen.size();
      for (WriteJournal.Entry entry : seen) {
        latestVisibleStart = Math.max(latestVisibleStart, entry.startedNanos);
      }
      for (WriteJournal.Entry entry : unseen) {
        earliestInvisibleEnd = Math.min(earliestInvisibleEnd, entry.acknowledgedNanos());
      }
    }
  }
}
