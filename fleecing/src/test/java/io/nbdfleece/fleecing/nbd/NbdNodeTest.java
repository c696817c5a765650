// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import io.nbdfleece.fleecing.block.BlockStatus;
import io.nbdfleece.fleecing.block.ContextStatus;
import io.nbdfleece.fleecing.block.ContextsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.Mutation.Durability;
import io.nbdfleece.fleecing.block.Mutation.Provisioning;
import io.nbdfleece.fleecing.block.Mutation.Speed;
import io.nbdfleece.fleecing.block.NodeAbility;
import io.nbdfleece.fleecing.block.NotFastException;
import io.nbdfleece.fleecing.hook.Outcome;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;

final class NbdNodeTest {
  private static final Set<Ability> ALL = EnumSet.complementOf(EnumSet.of(Ability.ROTATIONAL));

  private static Set<Ability> without(Ability... lacking) {
    Set<Ability> abilities = EnumSet.copyOf(ALL);
    abilities.removeAll(List.of(lacking));
    return abilities;
  }

  private static NbdNode node(UpstreamDisk upstream) {
    return new NbdNode(upstream, () -> {});
  }

  private static CompletableFuture<Void> apply(NbdNode node, Mutation mutation) {
    Outcome outcome = new Outcome();
    node.apply(mutation, outcome);
    return outcome.future();
  }

  private static CompletableFuture<Void> flush(NbdNode node) {
    Outcome outcome = new Outcome();
    node.flush(outcome);
    return outcome.future();
  }

  private static Throwable failure(CompletableFuture<?> future) {
    Throwable cause = assertThrows(CompletionException.class, future::join).getCause();
    assertTrue(cause != null);
    return cause;
  }

  private static Mutation.Write write(long offsetBytes, int lengthBytes, Durability durability) {
    ByteBuffer data = ByteBuffer.allocateDirect(lengthBytes);
    for (int i = 0; i < lengthBytes; i++) {
      data.put(i, (byte) 5);
    }
    return new Mutation.Write(offsetBytes, data, durability);
  }

  @Test
  void whatIsWrittenIsReadBack() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    NbdNode node = node(upstream);
    apply(node, write(100, 50, Durability.CACHED)).join();
    ByteBuffer target = ByteBuffer.allocateDirect(50);
    node.read(100, target, Outcome.mustSucceed());
    assertEquals(5, target.get(0));
    assertEquals(5, target.get(49));
    assertEquals(List.of("write 100+50 CACHED", "read 100+50"), upstream.asked);
  }

  @Test
  void durabilityIsPassedOn() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    apply(node(upstream), write(0, 10, Durability.DURABLE)).join();
    assertEquals(List.of("write 0+10 DURABLE"), upstream.asked);
  }

  @Test
  void withoutFuaDurableChangesAreFlushed() {
    UpstreamDisk upstream = new UpstreamDisk(8192, without(Ability.FUA));
    apply(node(upstream), write(0, 10, Durability.DURABLE)).join();
    assertEquals(List.of("write 0+10 CACHED", "flush 0+0"), upstream.asked);
  }

  @Test
  void withoutFlushNoneIsOfferedAndNoneIsSent() {
    UpstreamDisk upstream = new UpstreamDisk(8192, without(Ability.FLUSH, Ability.FUA));
    NbdNode node = node(upstream);
    assertFalse(node.abilities().contains(NodeAbility.FLUSH));
    assertFalse(node.abilities().contains(NodeAbility.DURABLE_WRITE));
    flush(node).join();
    assertEquals(List.of(), upstream.asked);
  }

  @Test
  void withoutWriteZeroesZeroesAreWrittenAFewPiecesAtATime() {
    UpstreamDisk upstream = new UpstreamDisk(9 << 20, without(Ability.WRITE_ZEROES));
    Arrays.fill(upstream.disk, (byte) 3);
    List<Runnable> held = new ArrayList<>();
    upstream.held = held;
    CompletableFuture<Void> done =
        apply(
            node(upstream),
            new Mutation.Zero(512, (8 << 20) + 1, Provisioning.MAY_PUNCH, Durability.CACHED));
    int most = 0;
    while (!held.isEmpty()) {
      most = Math.max(most, held.size());
      held.removeLast().run();
    }
    done.join();
    assertEquals(4, most);
    byte[] expected = new byte[9 << 20];
    Arrays.fill(expected, (byte) 3);
    Arrays.fill(expected, 512, 512 + (8 << 20) + 1, (byte) 0);
    assertEquals(-1, Arrays.mismatch(expected, upstream.disk));
    assertEquals(9, upstream.asked.size());
  }

  @Test
  void zeroesWrittenInlineDoNotNest() {
    UpstreamDisk upstream = new UpstreamDisk(256 << 20, without(Ability.WRITE_ZEROES));
    apply(node(upstream), new Mutation.Zero(0, 256 << 20, Provisioning.KEEP, Durability.DURABLE))
        .join();
    assertEquals(256, upstream.asked.size());
    assertTrue(upstream.asked.getFirst().endsWith(" DURABLE"));
  }

  @Test
  void aPieceThatFailsFailsTheZeroingAndNoOtherIsBegun() {
    UpstreamDisk upstream = new UpstreamDisk(64 << 20, without(Ability.WRITE_ZEROES));
    upstream.failNext("write", new NbdException(NbdError.ENOSPC, "full"));
    CompletableFuture<Void> done =
        apply(
            node(upstream),
            new Mutation.Zero(0, 64 << 20, Provisioning.MAY_PUNCH, Durability.CACHED));
    NbdException error = assertInstanceOf(NbdException.class, failure(done));
    assertEquals(NbdError.ENOSPC, error.error());
    assertEquals(1, upstream.asked.size());
  }

  @Test
  void withoutTrimADiscardDoesNothing() {
    UpstreamDisk upstream = new UpstreamDisk(8192, without(Ability.TRIM));
    apply(node(upstream), new Mutation.Discard(0, 4096, Durability.DURABLE)).join();
    assertEquals(List.of(), upstream.asked);
  }

  @Test
  void zeroingPassesOnHowItMayBeDone() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    NbdNode node = node(upstream);
    for (Provisioning provisioning : Provisioning.values()) {
      for (Speed speed : Speed.values()) {
        apply(node, new Mutation.Zero(0, 1, provisioning, speed, Durability.CACHED)).join();
      }
    }
    assertEquals(
        List.of(
            "zero 0+1 MAY_PUNCH CACHED",
            "zero 0+1 FAST_ONLY CACHED",
            "zero 0+1 NO_HOLE CACHED",
            "zero 0+1 FAST_ONLY_NO_HOLE CACHED"),
        upstream.asked);
  }

  @Test
  void withoutFastZeroFastZeroingFailsAtOnce() {
    UpstreamDisk upstream = new UpstreamDisk(8192, without(Ability.FAST_ZERO));
    NbdNode node = node(upstream);
    Mutation fast =
        new Mutation.Zero(0, 1, Provisioning.MAY_PUNCH, Speed.FAST_ONLY, Durability.CACHED);
    assertInstanceOf(NotFastException.class, failure(apply(node, fast)));
    assertFalse(node.abilities().contains(NodeAbility.FAST_ZERO));
    assertEquals(List.of(), upstream.asked);
  }

  @Test
  void upstreamThatIsNotFastIsNotFast() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    upstream.failNext("zero", new NbdException(NbdError.ENOTSUP, "slow"));
    Mutation fast =
        new Mutation.Zero(0, 1, Provisioning.MAY_PUNCH, Speed.FAST_ONLY, Durability.CACHED);
    assertInstanceOf(NotFastException.class, failure(apply(node(upstream), fast)));
  }

  @Test
  void fullUpstreamSaysSoAndOtherErrorsBecomeEio() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    NbdNode node = node(upstream);
    for (NbdError error : NbdError.values()) {
      upstream.failNext("write", new NbdException(error, "the text"));
      Throwable got = failure(apply(node, write(0, 10, Durability.CACHED)));
      NbdError seen = NbdError.from(assertInstanceOf(IOException.class, got));
      assertEquals(error == NbdError.ENOSPC ? NbdError.ENOSPC : NbdError.EIO, seen);
      assertTrue(String.valueOf(got.getMessage()).contains("the text"));
    }
    upstream.failNext("read", new NbdException(NbdError.ENOSPC, "the text"));
    Outcome read = new Outcome();
    node.read(0, ByteBuffer.allocateDirect(10), read);
    assertEquals(
        NbdError.EIO, NbdError.from(assertInstanceOf(IOException.class, failure(read.future()))));
  }

  @Test
  void failedFlushIsSticky() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    NbdNode node = node(upstream);
    upstream.failNext("flush", new NbdException(NbdError.EIO, "platter gone"));
    assertTrue(String.valueOf(failure(flush(node)).getMessage()).contains("platter gone"));
    assertTrue(String.valueOf(failure(flush(node)).getMessage()).contains("platter gone"));
    Throwable durable = failure(apply(node, write(0, 10, Durability.DURABLE)));
    assertTrue(String.valueOf(durable.getMessage()).contains("platter gone"));
    apply(node, write(0, 10, Durability.CACHED)).join();
    assertThrows(IOException.class, node::close);
  }

  @Test
  void flushUnderWayWhenAnotherFailsFailsToo() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    List<Runnable> held = new ArrayList<>();
    upstream.held = held;
    NbdNode node = node(upstream);
    upstream.failNext("flush", new NbdException(NbdError.EIO, "platter gone"));
    CompletableFuture<Void> first = flush(node);
    CompletableFuture<Void> second = flush(node);
    held.get(0).run();
    held.get(1).run();
    assertTrue(failure(first) instanceof IOException);
    assertTrue(failure(second) instanceof IOException);
  }

  @Test
  void upstreamThatCouldNotBeReachedHasLostNothing() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    NbdNode node = node(upstream);
    upstream.failNext("flush", new IOException("connection refused"));
    assertTrue(failure(flush(node)) instanceof IOException);
    flush(node).join();
  }

  @Test
  void allocatedZeroesHolesAndUndefinedHolesAreToldApart() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    upstream.extents.put(
        ExportInfo.BASE_ALLOCATION,
        List.of(
            new Extent(1000, 0),
            new Extent(1000, Extent.ZERO),
            new Extent(1000, Extent.HOLE | Extent.ZERO),
            new Extent(1000, Extent.HOLE),
            new Extent(Long.MAX_VALUE, 0)));
    assertEquals(
        List.of(
            new BlockExtent(1000, State.DATA),
            new BlockExtent(1000, State.ZERO),
            new BlockExtent(1000, State.HOLE),
            new BlockExtent(5192, State.DATA)),
        BlockStatus.of(node(upstream), 0, 8192));
  }

  @Test
  void edgesInsideOfABlockMakeItData() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL, 1024, ExportInfo.BASE_ALLOCATION);
    long hole = Extent.HOLE | Extent.ZERO;
    upstream.extents.put(
        ExportInfo.BASE_ALLOCATION,
        List.of(
            new Extent(100, hole),
            new Extent(100, Extent.ZERO),
            new Extent(3000, hole),
            new Extent(100, hole)));
    assertEquals(
        List.of(
            new BlockExtent(1024, State.DATA),
            new BlockExtent(2048, State.HOLE),
            new BlockExtent(1024, State.DATA)),
        BlockStatus.of(node(upstream), 0, 8192));
  }

  @Test
  void withoutBaseAllocationAllIsData() {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL, 1, "qemu:dirty-bitmap:b");
    assertEquals(
        List.of(new BlockExtent(4096, State.DATA)), BlockStatus.of(node(upstream), 4096, 4096));
    assertEquals(List.of(), upstream.asked);
  }

  @Test
  void otherContextsPassAsTheyAre() {
    UpstreamDisk upstream =
        new UpstreamDisk(8192, ALL, 512, "qemu:allocation-depth", "qemu:dirty-bitmap:b");
    upstream.extents.put(
        "qemu:allocation-depth", List.of(new Extent(1024, 7), new Extent(1 << 30, 2)));
    upstream.extents.put("qemu:dirty-bitmap:b", List.of(new Extent(2048, 1), new Extent(77, 0)));
    NbdNode node = node(upstream);
    assertEquals(List.of("qemu:allocation-depth", "qemu:dirty-bitmap:b"), node.contexts());
    CompletableFuture<List<ContextStatus>> found = new CompletableFuture<>();
    node.contextStatus(
        0,
        4096,
        List.of(ExportInfo.BASE_ALLOCATION, "qemu:dirty-bitmap:b", "qemu:allocation-depth"),
        10,
        new ContextsCompletion() {
          @Override
          public void succeeded(List<ContextStatus> statuses) {
            found.complete(statuses);
          }

          @Override
          public void failed(IOException error) {
            found.completeExceptionally(error);
          }
        });
    assertEquals(
        List.of(
            new ContextStatus("base:allocation", List.of(new ContextStatus.Stretch(4096, 0))),
            new ContextStatus("qemu:dirty-bitmap:b", List.of(new ContextStatus.Stretch(2048, 1))),
            new ContextStatus(
                "qemu:allocation-depth",
                List.of(new ContextStatus.Stretch(1024, 7), new ContextStatus.Stretch(3072, 2)))),
        found.join());
  }

  @Test
  void closingFlushesWhatWasChanged() throws Exception {
    UpstreamDisk upstream = new UpstreamDisk(8192, ALL);
    List<String> closed = upstream.asked;
    NbdNode node = new NbdNode(upstream, () -> closed.add("closed"));
    apply(node, write(0, 10, Durability.CACHED)).join();
    node.close();
    assertEquals(List.of("write 0+10 CACHED", "flush 0+0", "closed"), upstream.asked);
  }
}
