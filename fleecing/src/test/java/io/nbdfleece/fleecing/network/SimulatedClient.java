// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;

/// A client on a network that delivers its bytes, and those for it, in pieces of any size. It keeps
/// count of its requests: each one that the server has whole gets one answer, unless the client
/// goes before.
final class SimulatedClient {
  private static final long NETWORK_NANOS_MAX = 30_000;

  private final SimulatedWorld world;
  private final HeaderStyle style;
  private final BytePipe toServer;
  private final BytePipe fromServer;
  private final SimulatedChannel channel;
  private final ClientHandshake handshake;
  private final ReplyParser parser;
  private final Outbox outbox = new Outbox();
  private final Map<Long, ArrayDeque<Request>> unanswered = new HashMap<>();
  private ByteBuffer input = ByteBuffer.allocate(1 << 10).limit(0);
  private int unansweredCount;
  private boolean sending;
  private boolean receiving;
  private boolean stalled;
  private boolean finishing;
  private boolean serverLeaves;
  private boolean over;
  private long finishesAtSent = Long.MAX_VALUE;
  private long breaksAtSent = Long.MAX_VALUE;
  private long breaksAtReceived = Long.MAX_VALUE;
  private long receivedTotal;
  private Breaking breaking = Breaking.CLOSE;

  /// How a connection goes that its client does not end.
  enum Breaking {
    /// What has been sent still arrives.
    CLOSE,
    /// It is lost.
    RESET
  }

  /// Sizes of the buffers of the kernel.
  record Sockets(int sendBytes, int receiveBytes) {}

  SimulatedClient(
      SimulatedWorld world, int number, HeaderStyle style, String export, Sockets sockets) {
    this.world = world;
    this.style = style;
    this.toServer = new BytePipe(sockets.receiveBytes);
    this.fromServer = new BytePipe(sockets.sendBytes);
    this.channel = new SimulatedChannel(number, toServer, fromServer, this::serverActed);
    this.handshake = new ClientHandshake(style, export + "#" + number);
    this.parser = new ReplyParser(style, this::asked, this::replied);
    outbox.add(handshake.bytes(), () -> {});
  }

  HeaderStyle style() {
    return style;
  }

  /// The server's end.
  SimulatedChannel channel() {
    return channel;
  }

  /// The server has accepted it.
  void connected() {
    sendSoon();
  }

  /// Whether it may send requests.
  boolean isServed() {
    return handshake.state() == ClientHandshake.State.DONE && !finishing && !stalled && !over;
  }

  /// Whether its connection has ended.
  boolean isOver() {
    return over;
  }

  boolean isStalled() {
    return stalled;
  }

  int unansweredCount() {
    return unansweredCount;
  }

  void send(Request request) {
    outbox.add(
        request.bytes(style),
        () -> {
          unanswered.computeIfAbsent(request.cookie(), _ -> new ArrayDeque<>()).add(request);
          unansweredCount++;
          request.expectation().received(request);
        });
    sendSoon();
  }

  /// Takes nothing of what comes for so long.
  void pause(long nanos) {
    if (!receiving) {
      receiving = true;
      world.after(nanos, this::receive);
    }
  }

  /// The server shuts down: what it has not begun it may refuse, or leave unanswered.
  void serverLeaves() {
    serverLeaves = true;
  }

  /// Neither sends nor takes anything any more.
  void stall() {
    stalled = true;
  }

  /// Tells the server that it goes, and waits for its answers.
  void leave() {
    Request last = new Request(0, Nbd.CMD_DISC, 0, 0, 0, new byte[0], new Nobody());
    outbox.add(last.bytes(style), () -> {});
    finishing = true;
    sendSoon();
  }

  /// Ends its half after that many bytes more of what it has to send, and waits for its answers.
  void halfClose(long afterBytes) {
    finishing = true;
    long count = Math.min(afterBytes, outbox.unsentBytes());
    finishesAtSent = Math.min(finishesAtSent, outbox.sentTotal() + count);
    sendSoon();
  }

  /// Goes without a word, after that many bytes that it sends or gets.
  void breakAfter(long sentBytes, long receivedBytes, Breaking how) {
    breaking = how;
    breaksAtSent = Math.min(breaksAtSent, outbox.sentTotal() + sentBytes);
    breaksAtReceived = Math.min(breaksAtReceived, receivedTotal + receivedBytes);
    if (sentBytes == 0 || receivedBytes == 0) {
      breakOff();
    }
  }

  void breakOff() {
    if (over) {
      return;
    }
    over = true;
    if (breaking == Breaking.RESET) {
      toServer.reset();
    }
    toServer.finish();
    fromServer.abandon();
    channel.happened();
  }

  private void sendSoon() {
    if (!sending && !over && !stalled) {
      sending = true;
      world.later(NETWORK_NANOS_MAX, this::sendSome);
    }
  }

  private void sendSome() {
    sending = false;
    if (over || stalled) {
      return;
    }
    int count = (int) Math.min(sendableBytes(), Math.min(toServer.room(), piece()));
    outbox.send(toServer, count);
    channel.happened();
    if (outbox.sentTotal() == breaksAtSent) {
      breakOff();
    } else if (outbox.sentTotal() == finishesAtSent) {
      toServer.finish();
      channel.happened();
    } else if (sendableBytes() > 0 && toServer.room() > 0) {
      sendSoon();
    }
  }

  private long sendableBytes() {
    long limitBytes = Math.min(breaksAtSent, finishesAtSent) - outbox.sentTotal();
    return Math.min(outbox.unsentBytes(), limitBytes);
  }

  /// A byte, a part of a header, a packet, or all there is.
  private int piece() {
    return switch (world.random.nextInt(8)) {
      case 0 -> 1 + world.random.nextInt(3);
      case 1 -> 1 + world.random.nextInt(40);
      case 2 -> 1 + world.random.nextInt(3000);
      default -> Integer.MAX_VALUE;
    };
  }

  /// It has taken something, put something, or closed.
  private void serverActed() {
    if (sendableBytes() > 0 && toServer.room() > 0) {
      sendSoon();
    }
    boolean comes = fromServer.available() > 0 || fromServer.isFinished() || fromServer.isReset();
    if (comes && !receiving && !over && !stalled) {
      receiving = true;
      world.later(NETWORK_NANOS_MAX, this::receive);
    }
  }

  private void receive() {
    receiving = false;
    if (over || stalled) {
      return;
    }
    int count = Math.min(fromServer.available(), piece());
    count = (int) Math.min(count, breaksAtReceived - receivedTotal);
    if (count > 0) {
      receivedTotal += count;
      take(fromServer.take(count));
      channel.happened();
    }
    if (receivedTotal == breaksAtReceived) {
      breakOff();
    } else if (fromServer.available() > 0) {
      serverActed();
    } else if (fromServer.isFinished() || fromServer.isReset()) {
      ended();
    }
  }

  private void take(byte[] bytes) {
    if (input.capacity() - input.limit() < bytes.length) {
      input = ByteBuffer.allocate(2 * (input.remaining() + bytes.length)).put(input).flip();
    }
    int end = input.limit();
    input.limit(end + bytes.length).put(end, bytes);
    while (handshake.state() == ClientHandshake.State.UNDER_WAY
        ? handshake.parse(input)
        : parser.parse(input)) {
      // one after the other
    }
    if (handshake.state() == ClientHandshake.State.REFUSED) {
      breakOff();
    }
  }

  private Request asked(long cookie) {
    ArrayDeque<Request> requests = unanswered.get(cookie);
    if (requests == null || requests.isEmpty()) {
      throw new AssertionError("a reply to nothing, cookie=" + cookie);
    }
    return requests.element();
  }

  private void replied(Request to, Reply reply) {
    unanswered.getOrDefault(to.cookie(), new ArrayDeque<>()).remove();
    unansweredCount--;
    if (!serverLeaves || reply.error() != NbdError.ESHUTDOWN.number()) {
      to.expectation().answered(reply);
    }
  }

  /// The server has closed the connection.
  private void ended() {
    over = true;
    fromServer.abandon();
    if (!serverLeaves) {
      assertTrue(finishing, "the server left a client that did nothing wrong");
      assertTrue(!fromServer.isReset(), "the server broke off");
      assertTrue(
          parser.isBetweenReplies() && !input.hasRemaining(), "the end of a reply is missing");
      assertEquals(0, unansweredCount, "requests that came whole and were not answered");
    }
  }

  /// Of a message that gets no answer.
  private record Nobody() implements Expectation {
    @Override
    public void received(Request request) {}

    @Override
    public void answered(Reply reply) {
      throw new AssertionError("NBD_CMD_DISC was answered");
    }
  }
}
