// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.infra.Blackhole;

/// What each request pays before anything is done for it: its header is taken apart and checked.
/// Reads and writes of 4 KiB, mixed at random, one behind the other.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class RequestHeaderBenchmark {
  private static final int REQUESTS = 1024;
  private static final int BLOCK_BYTES = 4096;
  private static final long SIZE_BYTES = 1L << 40;

  @Param public HeaderStyle style;

  private ByteBuf in;
  private RequestHeader header;
  private RequestRules rules;

  @Setup
  public void requests() {
    Random random = new Random(1);
    in = Unpooled.directBuffer(REQUESTS * style.requestBytes());
    for (int i = 0; i < REQUESTS; i++) {
      boolean write = random.nextBoolean();
      boolean flagged = write && style == HeaderStyle.EXTENDED;
      in.writeInt(style.requestMagic());
      in.writeShort(flagged ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0);
      in.writeShort(write ? Nbd.CMD_WRITE : Nbd.CMD_READ);
      in.writeLong(random.nextLong());
      in.writeLong(random.nextLong(SIZE_BYTES / BLOCK_BYTES) * BLOCK_BYTES);
      if (style == HeaderStyle.EXTENDED) {
        in.writeLong(BLOCK_BYTES);
      } else {
        in.writeInt(BLOCK_BYTES);
      }
    }
    ExportInfo info =
        new ExportInfo(SIZE_BYTES, "", EnumSet.allOf(Ability.class), 1, 4096, List.of());
    header = new RequestHeader(style);
    rules = new RequestRules(info, style, false);
    check();
  }

  // A benchmark of refusals would be another one.
  private void check() {
    for (int i = 0; i < REQUESTS; i++) {
      Verdict verdict = next(i);
      if (verdict != Verdict.ACCEPTED) {
        throw new IllegalStateException("request " + i + ": " + verdict);
      }
    }
  }

  private Verdict next(int index) {
    in.readerIndex(index * style.requestBytes());
    header.peek(in);
    return rules.check(
        header.command(), header.flags(), header.offsetBytes(), header.lengthBytes());
  }

  @Benchmark
  @OperationsPerInvocation(REQUESTS)
  public void peekAndCheck(Blackhole result) {
    for (int i = 0; i < REQUESTS; i++) {
      result.consume(next(i));
    }
  }
}
