// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.Unpooled;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Replies put together at random from right pieces, with fields that are sometimes wrong. Whatever
/// comes is either an answer or a violation of the protocol, no other exception; and no byte
/// outside of a request's buffer is ever touched.
@Timeout(120)
final class ReplyFuzzTest {
  private static final int ROUND_COUNT = Integer.getInteger("test.rounds", 20_000);
  private static final int CHUNK_COUNT_MAX = 12;
  private static final long READ_OFFSET = 4096;
  private static final int READ_BYTES = 512;
  private static final int MARGIN_BYTES = 64;
  private static final long[] ODD_NUMBERS = {
    0,
    1,
    4,
    8,
    12,
    0x7fff,
    0x8000,
    0xffff,
    0x7fffffffL,
    0x80000000L,
    0xffffffffL,
    1L << 32,
    Long.MAX_VALUE,
    Long.MIN_VALUE,
    -1,
    READ_OFFSET - 1,
    READ_OFFSET + READ_BYTES
  };

  @ParameterizedTest
  @EnumSource(Negotiated.Replies.class)
  void anythingIsAnAnswerOrAViolation(Negotiated.Replies replies) throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    int violations = 0;
    for (int round = 0; round < ROUND_COUNT; round++) {
      Random random = new Random(seed + round);
      try {
        violations += violates(replies, random) ? 1 : 0;
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("test.seed=" + (seed + round), e);
      }
    }
    assertTrue(violations > 0 && violations < ROUND_COUNT, "violations: " + violations);
  }

  private static boolean violates(Negotiated.Replies replies, Random random) throws Exception {
    RequestTable requests = new RequestTable();
    ReplyDecoder decoder = new ReplyDecoder(requests, replies, () -> true);
    ByteBuffer whole = ByteBuffer.allocate(READ_BYTES + 2 * MARGIN_BYTES);
    ByteBuffer target = whole.slice(MARGIN_BYTES, READ_BYTES);
    List<Request> all =
        List.of(
            new Request.Read(READ_OFFSET, target),
            new Request.Plain(4, 0, READ_OFFSET, READ_BYTES),
            Request.Status.ofAll(
                READ_OFFSET, READ_BYTES, Map.of(1, "a:b", 2, "c:d"), 1 << 20, 100));
    all.forEach(requests::add);
    boolean violation = false;
    try {
      int chunks = 1 + random.nextInt(CHUNK_COUNT_MAX);
      for (int i = 0; i < chunks; i++) {
        byte[] chunk = chunk(replies, random);
        int cut = random.nextInt(chunk.length + 1);
        decoder.decode(Unpooled.wrappedBuffer(chunk, 0, cut));
        decoder.decode(Unpooled.wrappedBuffer(chunk, cut, chunk.length - cut));
      }
    } catch (ProtocolViolationException expected) {
      violation = true;
    }
    for (int i = 0; i < MARGIN_BYTES; i++) {
      assertEquals(0, whole.get(i));
      assertEquals(0, whole.get(whole.capacity() - 1 - i));
    }
    return violation;
  }

  /// One reply or chunk; every field is right, or odd once in a while.
  private static byte[] chunk(Negotiated.Replies replies, Random random) {
    ByteBuffer out = ByteBuffer.allocate(1024);
    if (replies == Negotiated.Replies.SIMPLE) {
      int length = random.nextInt(4) == 0 ? READ_BYTES : 0;
      out.putInt((int) odd(random, 0x67446698)).putInt((int) odd(random, random.nextInt(2) * 5L));
      out.putLong(odd(random, 1 + random.nextInt(3))).put(filled(length));
      return bytes(out);
    }
    boolean extended = replies == Negotiated.Replies.EXTENDED;
    int[] types = {0, 1, 2, extended ? 6 : 5, 0x8001, 0x8002};
    int type = types[random.nextInt(types.length)];
    ByteBuffer payload = payload(type, random);
    int flags = type == 0 ? 1 : random.nextInt(3) == 0 ? 1 : 0;
    long cookie = type == 0 || type > 6 ? 1 + random.nextInt(3) : type > 2 ? 3 : 1;
    if (extended) {
      out.putInt((int) odd(random, 0x6e8a278c)).putShort((short) odd(random, flags));
      out.putShort((short) odd(random, type)).putLong(odd(random, cookie));
      out.putLong(odd(random, READ_OFFSET)).putLong(odd(random, payload.remaining()));
    } else {
      out.putInt((int) odd(random, 0x668e33ef)).putShort((short) odd(random, flags));
      out.putShort((short) odd(random, type)).putLong(odd(random, cookie));
      out.putInt((int) odd(random, payload.remaining()));
    }
    return bytes(out.put(payload));
  }

  private static ByteBuffer payload(int type, Random random) {
    ByteBuffer payload = ByteBuffer.allocate(800);
    int start = random.nextInt(READ_BYTES);
    int length = 1 + random.nextInt(READ_BYTES - start);
    switch (type) {
      case 1 -> payload.putLong(odd(random, READ_OFFSET + start)).put(filled(length));
      case 2 -> payload.putLong(odd(random, READ_OFFSET + start)).putInt((int) odd(random, length));
      case 5, 6 -> {
        int count = 1 + random.nextInt(4);
        payload.putInt((int) odd(random, 1 + random.nextInt(2)));
        if (type == 6) {
          payload.putInt((int) odd(random, count));
        }
        for (int i = 0; i < count; i++) {
          if (type == 6) {
            payload.putLong(odd(random, 1 + random.nextInt(200))).putLong(odd(random, 3));
          } else {
            payload.putInt((int) odd(random, 1 + random.nextInt(200))).putInt((int) odd(random, 3));
          }
        }
      }
      case 0x8001 ->
          payload.putInt((int) odd(random, 5)).putShort((short) odd(random, 3)).put(filled(3));
      case 0x8002 ->
          payload
              .putInt((int) odd(random, 5))
              .putShort((short) odd(random, 3))
              .put(filled(3))
              .putLong(odd(random, READ_OFFSET + start));
      default -> {}
    }
    return payload.flip();
  }

  private static long odd(Random random, long right) {
    return random.nextInt(60) != 0 ? right : ODD_NUMBERS[random.nextInt(ODD_NUMBERS.length)];
  }

  private static byte[] filled(int length) {
    byte[] bytes = new byte[length];
    java.util.Arrays.fill(bytes, (byte) 'x');
    return bytes;
  }

  private static byte[] bytes(ByteBuffer out) {
    byte[] bytes = new byte[out.flip().remaining()];
    out.get(bytes);
    return bytes;
  }
}
