// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.Channel;
import io.netty.channel.ChannelException;
import io.netty.channel.unix.RawUnixChannelOption;
import java.lang.System.Logger.Level;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/// A TCP connection that does not leave the machine has no congestion to control. Where BBR is the
/// system's choice it would be paced all the same, by timers that take processor time from both
/// ends; Reno, which every kernel has, does not pace (tcp(7), `TCP_CONGESTION`).
final class LoopbackTcp {
  private static final System.Logger LOG = System.getLogger(LoopbackTcp.class.getName());

  private static final byte[] RENO = "reno\0".getBytes(StandardCharsets.US_ASCII);
  private static final int IPPROTO_TCP = 6;
  private static final int TCP_CONGESTION = 13;

  static final RawUnixChannelOption CONGESTION =
      new RawUnixChannelOption("TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, RENO.length);

  private LoopbackTcp() {}

  /// Tunes an accepted connection if it is one over TCP from this machine; leaves others alone.
  static void tune(Channel channel) {
    if (!(channel.remoteAddress() instanceof InetSocketAddress remote)
        || !(channel.localAddress() instanceof InetSocketAddress local)) {
      return;
    }
    InetAddress peer = remote.getAddress();
    if (!peer.isLoopbackAddress() && !peer.equals(local.getAddress())) {
      return;
    }
    try {
      channel.config().setOption(CONGESTION, ByteBuffer.wrap(RENO));
    } catch (ChannelException e) {
      // The peer has gone, or an administrator has taken it out of what is allowed.
      LOG.log(Level.DEBUG, "no choice of congestion control", e);
    }
  }
}
