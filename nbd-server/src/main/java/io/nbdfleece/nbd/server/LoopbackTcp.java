// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.Channel;
import io.netty.channel.ChannelException;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.unix.RawUnixChannelOption;
import io.netty.util.AttributeKey;
import java.lang.System.Logger.Level;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/// A TCP connection that does not leave the machine has no congestion to control. Where BBR is the
/// system's choice it would be paced all the same, by timers that take processor time from both
/// ends; Reno, which every kernel has, does not pace (tcp(7), `TCP_CONGESTION`).
///
/// Linux goes on pacing a connection that has ever been under BBR. So it is the listening socket
/// that is put under Reno, which accepted ones inherit, and those from other machines get back what
/// the system had chosen.
final class LoopbackTcp {
  private static final System.Logger LOG = System.getLogger(LoopbackTcp.class.getName());

  private static final int IPPROTO_TCP = 6;
  private static final int TCP_CONGESTION = 13;

  /// The kernel's TCP_CA_NAME_MAX.
  private static final int NAME_BYTES = 16;

  static final RawUnixChannelOption CONGESTION =
      new RawUnixChannelOption("TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, NAME_BYTES);

  static final ByteBuffer RENO = name("reno");

  /// Of a listening socket: what connections that leave the machine should have.
  private static final AttributeKey<ByteBuffer> ELSEWHERE =
      AttributeKey.valueOf(LoopbackTcp.class, "elsewhere");

  private LoopbackTcp() {}

  private static ByteBuffer name(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    return ByteBuffer.wrap(Arrays.copyOf(bytes, NAME_BYTES)).asReadOnlyBuffer();
  }

  /// Prepares a socket that will listen. One that listens already has been handed over to us, with
  /// the choice of somebody to whom it may go back. Only what paces is replaced: others may have to
  /// be there from a connection's first packet on, as DCTCP has.
  static void prepare(Channel listening) {
    if (!(listening instanceof EpollServerSocketChannel) || listening.isActive()) {
      return;
    }
    try {
      ByteBuffer chosen = listening.config().getOption(CONGESTION);
      if (StandardCharsets.US_ASCII.decode(chosen.duplicate()).toString().startsWith("bbr")) {
        listening.attr(ELSEWHERE).set(chosen);
        listening.config().setOption(CONGESTION, RENO.duplicate());
      }
    } catch (ChannelException e) {
      tell(e);
    }
  }

  /// Tunes an accepted connection if it is one over TCP.
  static void tune(Channel accepted) {
    if (!(accepted.remoteAddress() instanceof InetSocketAddress remote)
        || !(accepted.localAddress() instanceof InetSocketAddress local)) {
      return;
    }
    InetAddress peer = remote.getAddress();
    boolean leavesMachine = !peer.isLoopbackAddress() && !peer.equals(local.getAddress());
    ByteBuffer chosen = leavesMachine ? accepted.parent().attr(ELSEWHERE).get() : RENO;
    if (chosen == null) {
      return;
    }
    try {
      accepted.config().setOption(CONGESTION, chosen.duplicate());
    } catch (ChannelException e) {
      tell(e);
    }
  }

  /// The peer has gone, or an administrator has taken it out of what is allowed.
  private static void tell(ChannelException e) {
    LOG.log(Level.DEBUG, "no choice of congestion control", e);
  }
}
