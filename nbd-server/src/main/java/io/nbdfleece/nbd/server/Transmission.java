// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// The transmission phase: reads requests, starts them, sends their replies as they complete. One
/// file per command holds what is special to it. Everything runs on the event loop, except
/// [#completed].
///
/// ```
///   header ──▶ rules ──▶ export ──▶ completed ──▶ reply, in the order of completion
///     │          └─ refused ───────────────────────▲
///     └─ NBD_CMD_DISC, end of input: close when the last reply has been sent
/// ```
final class Transmission implements Phase {
  private final Connection connection;
  private final CheckedExport export;
  private final HeaderStyle style;
  private final ContextSelection contexts;
  private final ZeroRuns zeroRuns = new ZeroRuns();
  private final RequestRules rules;
  private final Replies replies;
  private final ReadQueue reads;
  private final StatusQueue statuses;
  private final RequestLog log;
  private final PayloadWatch payloadWatch;
  private final EventLoop loop;
  private final CompletionQueue completions;
  private final Runnable lateFlush = this::flushLate;
  private final RequestHeader header;
  private final DiscardedPayload discarded = new DiscardedPayload();
  private int awaitedCount;
  private @Nullable CommandWrite unfinishedWrite;
  private boolean flushScheduled;
  private boolean inputOver;
  private Verdict closed; // what every request gets from now on, unless it is ACCEPTED
  private boolean lost;
  private boolean ended;

  private Transmission(
      Connection connection,
      ChannelHandlerContext ctx,
      CheckedExport export,
      HeaderStyle style,
      List<String> contexts) {
    this.connection = connection;
    this.export = export;
    this.style = style;
    this.contexts = ContextSelection.of(contexts);
    this.header = new RequestHeader(style);
    this.rules = new RequestRules(export.info(), style, !contexts.isEmpty());
    this.replies = new Replies(connection, ctx, style, this::startReads);
    DirectReads direct = new DirectReads(connection, ctx.channel(), export, style, replies);
    this.log = new RequestLog(connection);
    this.reads = new ReadQueue(this, replies, direct, export, ctx.channel().eventLoop(), log);
    this.statuses = new StatusQueue(export);
    this.payloadWatch =
        new PayloadWatch(connection, replies, connection.server().limits().stalledReaderDeadline());
    this.loop = ctx.channel().eventLoop();
    this.completions = new CompletionQueue(loop, this);
    this.closed = connection.server().isClosing() ? Verdict.SHUTTING_DOWN : Verdict.ACCEPTED;
  }

  /// Opens the export for that connection.
  static Transmission open(
      Connection connection,
      ChannelHandlerContext ctx,
      CheckedExport export,
      HeaderStyle style,
      List<String> contexts) {
    ServedClient client = new ServedClient(connection, ctx.channel().eventLoop());
    export.connected(client);
    return client.serves(new Transmission(connection, ctx, export, style, contexts));
  }

  HeaderStyle style() {
    return style;
  }

  /// For one read at a time.
  ZeroRuns zeroRuns() {
    return zeroRuns;
  }

  ContextSelection contexts() {
    return contexts;
  }

  ByteBufAllocator allocator() {
    return connection.server().allocator();
  }

  int extentsMax() {
    return connection.server().limits().extentsMax();
  }

  @Override
  public void consume() {
    while (!connection.isPaused() && step()) {
      // Each step consumes something.
    }
  }

  /// Whether there may be more to do.
  private boolean step() {
    InputBuffer input = connection.input();
    if (unfinishedWrite != null) {
      return finishWrite(input);
    }
    if (!input.hasUnread()) {
      return false;
    }
    ByteBuf in = input.unread();
    if (discarded.isUnderWay()) {
      if (discarded.skip(in)) {
        refuse(discarded.cookie(), discarded.offsetBytes(), discarded.verdict());
      }
      return true;
    }
    if (inputOver) {
      in.skipBytes(in.readableBytes());
      return false;
    }
    if (in.readableBytes() < style.requestBytes()) {
      return false;
    }
    header.peek(in);
    int wholeBytes = style.requestBytes() + contexts.payloadBytes(header);
    if (in.readableBytes() < wholeBytes) {
      input.need(wholeBytes);
      return false;
    }
    if (header.command() != Nbd.CMD_DISC && !mayBegin()) {
      connection.pause();
      return false;
    }
    in.skipBytes(style.requestBytes());
    return begin(input, in);
  }

  private boolean mayBegin() {
    long costBytes;
    if (header.command() == Nbd.CMD_BLOCK_STATUS) {
      costBytes = CommandBlockStatus.costBytes(style, contexts);
    } else {
      // What will be refused takes no memory, and waits for none.
      costBytes = verdict() == Verdict.ACCEPTED ? header.costBytes() : 0;
    }
    return replies.admitsOrAwaitsRoom(costBytes);
  }

  private boolean begin(InputBuffer input, ByteBuf in) {
    if (header.magic() != style.requestMagic()) {
      connection.drop("request magic: 0x" + Integer.toHexString(header.magic()));
      return false;
    }
    if (header.command() == Nbd.CMD_DISC) {
      inputOver = true;
      return true;
    }
    if (header.hasPayload()) {
      return beginWithPayload(input, in);
    }
    Verdict verdict = verdict();
    if (verdict == Verdict.ACCEPTED) {
      start();
    } else {
      refuse(verdict);
    }
    return true;
  }

  private boolean beginWithPayload(InputBuffer input, ByteBuf in) {
    if (style == HeaderStyle.EXTENDED
        && Long.compareUnsigned(header.lengthBytes(), WireLimits.PAYLOAD_BYTES_MAX) > 0) {
      connection.drop("payload: over 32 MiB, command=" + header.command());
      return false;
    }
    if (header.command() == Nbd.CMD_WRITE) {
      return beginWrite(input, in, verdict());
    }
    int statusPayloadBytes = contexts.payloadBytes(header);
    if (statusPayloadBytes > 0) {
      beginStatus(in.readSlice(statusPayloadBytes));
      return true;
    }
    Verdict verdict = verdict();
    return discardPayload(verdict == Verdict.ACCEPTED ? Verdict.BAD_PAYLOAD : verdict);
  }

  private Verdict verdict() {
    return closed == Verdict.ACCEPTED
        ? rules.check(header.command(), header.flags(), header.offsetBytes(), header.lengthBytes())
        : closed;
  }

  private void beginStatus(ByteBuf payload) {
    header.effect(payload.readLong());
    Optional<ContextSelection> some = contexts.subset(payload);
    Verdict verdict = some.isEmpty() ? Verdict.BAD_PAYLOAD : verdict();
    if (verdict != Verdict.ACCEPTED) {
      refuse(verdict);
    } else if (header.lengthBytes() == 0) {
      nothingToDo();
    } else {
      start(new CommandBlockStatus(this, header, some.orElseThrow()));
    }
  }

  private void start() {
    if (header.lengthBytes() == 0 && header.command() != Nbd.CMD_FLUSH) {
      nothingToDo();
      return;
    }
    start(Request.of(this, header));
  }

  private boolean beginWrite(InputBuffer input, ByteBuf in, Verdict verdict) {
    int lengthBytes = (int) Math.min(header.lengthBytes(), WireLimits.PAYLOAD_BYTES_MAX);
    if (verdict != Verdict.ACCEPTED) {
      return discardPayload(verdict);
    }
    if (lengthBytes == 0) {
      nothingToDo();
      return true;
    }
    CommandWrite write = new CommandWrite(this, header);
    if (in.readableBytes() >= lengthBytes) {
      input.sawShortPayload(lengthBytes);
      write.payload(in);
      in.skipBytes(lengthBytes);
      start(write);
      return true;
    }
    try {
      input.beginPayload(lengthBytes);
    } catch (OutOfMemoryError noBuffer) {
      log.noMemory("the payload of a write", lengthBytes);
      return discardPayload(Verdict.NO_MEMORY);
    }
    replies.begin(write.costBytes);
    unfinishedWrite = write;
    payloadWatch.start();
    return true;
  }

  private boolean finishWrite(InputBuffer input) {
    CommandWrite write = unfinishedWrite;
    if (write == null || !input.payloadIsWhole()) {
      return false;
    }
    unfinishedWrite = null;
    ByteBuf payload = input.finishPayload();
    write.payload(payload);
    payload.release();
    awaitedCount++;
    export.start(write);
    return true;
  }

  private boolean discardPayload(Verdict verdict) {
    if (header.lengthBytes() > WireLimits.DISCARDED_PAYLOAD_BYTES_MAX) {
      connection.drop("write payload: " + header.lengthBytes() + " bytes (expected: <= 32 MiB)");
      return false;
    }
    if (header.lengthBytes() == 0) {
      refuse(verdict);
      return true;
    }
    replies.keepNothing();
    discarded.begin(header, verdict);
    return true;
  }

  private void refuse(Verdict verdict) {
    refuse(header.cookie(), header.offsetBytes(), verdict);
  }

  private void refuse(long cookie, long offsetBytes, Verdict verdict) {
    replies.begin(0);
    replies.failure(cookie, offsetBytes, verdict.error(), rules.text(verdict), 0);
  }

  /// A length of zero is fine and means nothing.
  private void nothingToDo() {
    replies.begin(0);
    if (header.command() == Nbd.CMD_READ || header.command() == Nbd.CMD_BLOCK_STATUS) {
      replies.empty(header.cookie(), header.offsetBytes(), 0);
    } else {
      replies.success(header.cookie(), header.offsetBytes(), 0);
    }
  }

  private void start(Request request) {
    replies.begin(request.costBytes);
    awaitedCount++;
    switch (request) {
      case CommandRead read -> reads.add(read);
      case CommandBlockStatus status -> statuses.add(status);
      default -> export.start(request);
    }
  }

  /// A read has been answered without the export.
  void answered() {
    awaitedCount--;
  }

  /// A request that has begun cannot be started.
  void refuseBegun(Request request, Verdict verdict) {
    awaitedCount--;
    replies.failure(
        request.cookie,
        request.offsetBytes,
        verdict.error(),
        rules.text(verdict),
        request.costBytes);
  }

  /// There is room in the socket, or it is this connection's turn again.
  void startReads() {
    try {
      reads.start();
    } catch (OutOfMemoryError noBuffer) {
      connection.dropForMemory();
      return;
    }
    flushLater();
  }

  /// The export has completed the request. Any thread.
  void completed(Request request) {
    if (loop.inEventLoop()) {
      settle(request);
      flushLater();
    } else {
      completions.add(request);
    }
  }

  private void flushLater() {
    if (!connection.inTurn() && !flushScheduled) {
      // Inside some other work of this event loop: one flush for all that it completes.
      flushScheduled = true;
      loop.execute(lateFlush);
    }
  }

  private void flushLate() {
    flushScheduled = false;
    turnOver();
  }

  /// Those that came back from other threads, linked by [Request#next].
  void settleAll(Request oldest) {
    Request request = oldest;
    while (request != null) {
      Request following = request.next;
      request.next = null;
      settle(request);
      request = following;
    }
    turnOver();
  }

  private void turnOver() {
    if (!lost) {
      flush();
      connection.goOn();
      connection.input().settle();
    }
  }

  /// Throws nothing: others come behind it.
  private void settle(Request request) {
    awaitedCount--;
    try {
      if (!lost) {
        answer(request);
      }
    } catch (OutOfMemoryError noBuffer) {
      connection.dropForMemory();
    } finally {
      request.release();
    }
    if (!lost && request instanceof CommandRead read) {
      reads.completed(read);
    } else if (!lost && request instanceof CommandBlockStatus) {
      statuses.completed();
    }
    endIfLast();
  }

  private void answer(Request request) {
    IOException error = request.error();
    if (error == null) {
      try {
        request.reply(replies);
      } catch (IOException | RuntimeException badAnswer) {
        fail(request, badAnswer instanceof IOException io ? io : new IOException(badAnswer));
      }
    } else {
      fail(request, error);
    }
  }

  private void fail(Request request, IOException error) {
    NbdError number = request.visible(NbdError.from(error));
    String text = error.getMessage() == null ? error.toString() : error.getMessage();
    log.failed(request, number, text);
    replies.failure(request.cookie, request.offsetBytes, number, text, request.costBytes);
  }

  @Override
  public void flush() {
    do {
      replies.flush();
    } while (replies.hasUnflushed()); // those of reads that have found room meanwhile
    reads.turnOver();
    if ((inputOver || closed != Verdict.ACCEPTED) && awaitedCount == 0 && unfinishedWrite == null) {
      connection.closeWhenSent();
    }
  }

  @Override
  public boolean mayContinue() {
    // The header is still the one for which there was no room.
    return mayBegin();
  }

  @Override
  public long answerBytes() {
    return replies.bytesInFlight();
  }

  @Override
  public void inputEnded() {
    inputOver = true;
    discarded.forget();
    forgetUnfinished();
    flush();
  }

  private void forgetUnfinished() {
    CommandWrite cutShort = unfinishedWrite;
    unfinishedWrite = null;
    if (cutShort != null) {
      connection.input().dropPayload();
      replies.forget(cutShort.costBytes);
    }
  }

  /// Refuses what comes from now on; the next flush that finds nothing in flight is the end.
  void close(Verdict why) {
    closed = why;
  }

  @Override
  public void shutDown() {
    close(Verdict.SHUTTING_DOWN);
    // What the export completes after the event loop has ended is settled then.
    completions.runAfterLoop();
    if (!lost) {
      flush();
    }
  }

  @Override
  public void lost() {
    lost = true;
    awaitedCount -= reads.drop() + statuses.drop();
    replies.release();
    forgetUnfinished();
    endIfLast();
  }

  private void endIfLast() {
    if (lost && awaitedCount == 0 && !ended) {
      ended = true;
      replies.end();
      export.disconnected();
      connection.end();
    }
  }
}
