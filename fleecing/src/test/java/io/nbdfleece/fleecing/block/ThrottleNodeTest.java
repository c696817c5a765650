// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ThrottleNodeTest {
  private static final long SECOND = 1_000_000_000;
  private static final int MIB = 1 << 20;

  private final FakeTimer timer = new FakeTimer();
  private final List<String> finished = new ArrayList<>();

  private ThrottleGroup group(String name, long value) {
    return new ThrottleGroup(ThrottleLimits.NONE.with(Map.of(name, value)), timer);
  }

  private ThrottleNode node(ThrottleGroup group) {
    return new ThrottleNode(new NullNode(1L << 40, NullNode.Content.ZEROES, 0, timer), group);
  }

  private void read(ThrottleNode node, String what, int lengthBytes) {
    node.read(0, ByteBuffer.allocateDirect(lengthBytes), done(what));
  }

  private void write(ThrottleNode node, String what, int lengthBytes) {
    node.apply(
        new Mutation.Write(0, ByteBuffer.allocateDirect(lengthBytes), Mutation.Durability.CACHED),
        done(what));
  }

  private Completion done(String what) {
    return new Completion() {
      @Override
      public void succeeded() {
        finished.add(what);
      }

      @Override
      public void failed(IOException error) {
        finished.add(what + ": " + error.getMessage());
      }
    };
  }

  @Test
  void withoutLimitsRequestsPassInsideOfTheCall() {
    ThrottleNode node = node(new ThrottleGroup(ThrottleLimits.NONE, timer));
    read(node, "r", MIB);
    write(node, "w", MIB);
    assertEquals(List.of("r", "w"), finished);
    assertEquals(0, timer.pending());
  }

  @Test
  void bytesPassAtTheRateThatWasSet() {
    ThrottleNode node = node(group("bps-total", 10L * MIB));
    for (int i = 0; i < 100; i++) {
      read(node, "r" + i, MIB);
    }
    int before = finished.size();
    timer.pass(5 * SECOND);
    // 10 MiB/s for 5 s, and the tenth of a second that the bucket holds at first.
    assertBetween(49, 51, finished.size() - before);
    assertBetween(1, 2, before);
  }

  @Test
  void whatWaitsInANodeThatIsTakenOffGoesOnAtOnceAndOthersWait() {
    ThrottleGroup group = group("iops-total", 1);
    ThrottleNode node = node(group);
    ThrottleNode other = node(group);
    for (int i = 0; i < 3; i++) {
      write(node, "w" + i, MIB);
      write(other, "o" + i, MIB);
    }
    read(node, "r", MIB);
    assertEquals(List.of("w0"), finished);
    node.leave();
    assertEquals(List.of("w0", "r", "w1", "w2"), finished);
    write(node, "late", MIB);
    assertEquals("late", finished.getLast());
    timer.pass(60 * SECOND);
    assertEquals(List.of("o0", "o1", "o2"), finished.subList(5, 8));
  }

  @Test
  void whoWasTurnedAwayForWantOfAThreadIsNotAppliedLater() {
    AtomicBoolean noThread = new AtomicBoolean(true);
    DelayTimer thin =
        new DelayTimer() {
          @Override
          public long nanoTime() {
            return timer.nanoTime();
          }

          @Override
          public void after(long delayNanos, Runnable task) {
            if (noThread.getAndSet(false)) {
              throw new OutOfMemoryError("native thread");
            }
            timer.after(delayNanos, task);
          }
        };
    ThrottleNode node =
        node(new ThrottleGroup(ThrottleLimits.NONE.with(Map.of("iops-total", 1L)), thin));
    write(node, "w0", MIB);
    assertThrows(OutOfMemoryError.class, () -> write(node, "w1", MIB)); // its data is gone then
    write(node, "w2", MIB);
    timer.pass(60 * SECOND);
    assertEquals(List.of("w0", "w2"), finished);
  }

  @Test
  void whatOneRequestThrowsIsItsOwnAlone() {
    ThrottleGroup group = group("iops-total", 1);
    ThrottleNode node = node(group);
    write(node, "w0", MIB);
    for (String what : List.of("w1", "w2")) {
      Completion throwing =
          new Completion() {
            @Override
            public void succeeded() {
              throw new IllegalStateException("bad");
            }

            @Override
            public void failed(IOException error) {
              finished.add(what + ": " + error.getMessage());
            }
          };
      node.apply(new Mutation.Discard(0, MIB, Mutation.Durability.CACHED), throwing);
    }
    write(node, "w3", MIB);
    group.limit(ThrottleLimits.NONE);
    String internal = ": internal error: java.lang.IllegalStateException: bad";
    assertEquals(List.of("w0", "w1" + internal, "w2" + internal, "w3"), finished);
  }

  @Test
  void whoWaitsWhenTheTimerIsClosedGoesOn() {
    DelayTimer.Threaded real = DelayTimer.threaded("test");
    ThrottleGroup group =
        new ThrottleGroup(ThrottleLimits.NONE.with(Map.of("iops-total", 1L)), real);
    ThrottleNode node = node(group);
    for (int i = 0; i < 100; i++) {
      write(node, "w" + i, MIB);
    }
    real.close();
    assertEquals(100, finished.size());
  }

  @Test
  void readOfSeveralBuffersCountsAllTheirBytes() {
    ThrottleNode node = node(group("bps-read", 10L * MIB));
    List<ByteBuffer> halves =
        List.of(ByteBuffer.allocateDirect(MIB / 2), ByteBuffer.allocateDirect(MIB / 2));
    for (int i = 0; i < 100; i++) {
      halves.forEach(ByteBuffer::clear);
      node.read(0, halves, done("r" + i));
    }
    int before = finished.size();
    timer.pass(5 * SECOND);
    assertBetween(1, 2, before);
    assertBetween(49, 51, finished.size() - before);
  }

  @Test
  void requestsPassAtTheRateThatWasSet() {
    ThrottleNode node = node(group("iops-total", 100));
    for (int i = 0; i < 500; i++) {
      write(node, "w" + i, 512);
    }
    timer.pass(2 * SECOND);
    assertBetween(210, 213, finished.size());
  }

  @Test
  void waitingRequestsGoOnInTheOrderTheyCame() {
    ThrottleNode node = node(group("iops-total", 10));
    List<String> expected = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      write(node, "w" + i, 512);
      expected.add("w" + i);
    }
    timer.pass(60 * SECOND);
    assertEquals(expected, finished);
    assertEquals(0, timer.pending());
  }

  @Test
  void nodesOfOneGroupShareItsRate() {
    ThrottleGroup group = group("iops-total", 100);
    ThrottleNode one = node(group);
    ThrottleNode other = node(group);
    for (int i = 0; i < 200; i++) {
      write(one, "1", 512);
      write(other, "2", 512);
    }
    timer.pass(SECOND);
    assertBetween(110, 113, finished.size());
    assertBetween(54L, 57L, finished.stream().filter("1"::equals).count());
  }

  @Test
  void aLimitOfWritesLeavesReadsAlone() {
    ThrottleNode node = node(group("iops-write", 1));
    for (int i = 0; i < 10; i++) {
      write(node, "w", 512);
      read(node, "r", MIB);
    }
    assertEquals(10, finished.stream().filter("r"::equals).count());
    assertTrue(finished.stream().filter("w"::equals).count() < 3);
  }

  @Test
  void aBurstPassesFasterUntilItIsUsedUp() {
    ThrottleGroup group =
        new ThrottleGroup(
            ThrottleLimits.NONE.with(
                Map.of("iops-total", 10L, "iops-total-max", 100L, "iops-total-max-length", 2L)),
            timer);
    ThrottleNode node = node(group);
    for (int i = 0; i < 1000; i++) {
      write(node, "w", 512);
    }
    timer.pass(2 * SECOND);
    int burst = finished.size();
    assertBetween(190, 225, burst);
    timer.pass(10 * SECOND);
    assertBetween(90, 125, finished.size() - burst);
  }

  @Test
  void raisingTheLimitLetsWaitingRequestsGoAtOnce() {
    ThrottleGroup group = group("iops-total", 1);
    ThrottleNode node = node(group);
    for (int i = 0; i < 20; i++) {
      write(node, "w", 512);
    }
    group.limit(ThrottleLimits.NONE);
    assertEquals(20, finished.size());
    write(node, "after", 512);
    assertEquals(21, finished.size());
  }

  @Test
  void repeatedChangesOfTheLimitsLeaveOneAlarm() {
    ThrottleGroup group = group("iops-total", 1);
    ThrottleNode node = node(group);
    for (int i = 0; i < 100; i++) {
      write(node, "w", 512);
    }
    for (long rate = 1; rate < 20; rate++) {
      group.limit(ThrottleLimits.NONE.with(Map.of("iops-total", rate)));
    }
    timer.pass(2 * SECOND);
    assertEquals(1, timer.pending());
  }

  @Test
  void largeRequestsCountAsSeveralWithIopsSize() {
    ThrottleGroup group =
        new ThrottleGroup(
            ThrottleLimits.NONE.with(Map.of("iops-total", 100L, "iops-size", 4096L)), timer);
    ThrottleNode node = node(group);
    for (int i = 0; i < 100; i++) {
      write(node, "w", 40960);
    }
    timer.pass(SECOND);
    assertBetween(11, 13, finished.size());
  }

  @Test
  void flushesAndStatusAreNeverHeldUp() {
    ThrottleNode node = node(group("iops-total", 1));
    for (int i = 0; i < 5; i++) {
      write(node, "w", 512);
    }
    node.flush(done("flush"));
    assertTrue(finished.contains("flush"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bps-read=1,bps-read-max=20000,bps-total=5|bps/iops/max total values and read/write values"
            + " cannot be used at the same time",
        "bps-read=100,bps-read-max=20|bps_max/iops_max cannot be lower than bps/iops",
        "bps-total-max=5|bps_max/iops_max require corresponding bps/iops values",
        "bps-total=50,bps-total-max=100,bps-total-max-length=0|the burst length cannot be 0",
        "bps-total=50,bps-total-max-length=3|burst length set without burst rate",
        "bps-total=2000000000000000|bps/iops/max values must be within [0, 1000000000000000]",
        "bps-total=-1|bps/iops/max values must be within [0, 1000000000000000]",
        "bps-total=5,bps-total-max=10,bps-total-max-length=1099511627776|bps-total-max-length value"
            + " must be in the range [0, 4294967295]",
        "iops-size=5|iops size requires an iops value to be set",
      })
  void limitsThatDoNotGoTogetherAreRefusedWithQemusTexts(String changes, String message) {
    Map<String, Long> values = new HashMap<>();
    for (String change : changes.split(",", -1)) {
      String[] pair = change.split("=", -1);
      values.put(pair[0], Long.valueOf(pair[1]));
    }
    assertEquals(
        message,
        assertThrows(Exception.class, () -> ThrottleLimits.NONE.with(values)).getMessage());
  }

  private static void assertBetween(long least, long most, long actual) {
    assertTrue(least <= actual && actual <= most, actual + ", expected " + least + " to " + most);
  }
}
