// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.nbd.NbdUri;
import io.netty.channel.Channel;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Which congestion control accepted connections have. On a system that does not choose BBR two of
/// these show that nothing is changed.
@Timeout(30)
class LoopbackTcpTest {
  private static final Path SYSTEM = Path.of("/proc/sys/net/ipv4/tcp_congestion_control");

  private NbdServer server;

  @BeforeEach
  void start() throws IOException {
    InetSocketAddress any = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    server =
        NbdServer.start(
            new ServerConfig(List.of(new ServerConfig.Listen.Tcp(any)), TestServer.LIMITS),
            new MemoryExport(512, MemoryExport.WRITABLE));
  }

  @AfterEach
  void stop() {
    server.close(Duration.ZERO);
  }

  /// What the accepted connection of a client with that address has, and the listening socket.
  private List<String> chosen(InetAddress client) throws IOException {
    NbdUri.Tcp uri = (NbdUri.Tcp) server.uris().getFirst();
    SocketChannel socket = SocketChannel.open();
    socket.bind(new InetSocketAddress(client, 0));
    socket.connect(new InetSocketAddress(uri.host(), uri.port()));
    try (RawPeer peer = new RawPeer(socket)) {
      assertEquals(18, peer.in.readNBytes(18).length);
      Channel accepted = server.connections().iterator().next().channel();
      return List.of(chosen(accepted), chosen(accepted.parent()));
    }
  }

  private static String chosen(Channel channel) {
    ByteBuffer name = channel.config().getOption(LoopbackTcp.CONGESTION);
    return StandardCharsets.US_ASCII.decode(name).toString().replace("\0", "");
  }

  private static String ofSystem() throws IOException {
    return Files.readString(SYSTEM).strip();
  }

  private static Optional<InetAddress> outwardAddress() throws IOException {
    return NetworkInterface.networkInterfaces()
        .flatMap(NetworkInterface::inetAddresses)
        .filter(address -> address instanceof Inet4Address && !address.isLoopbackAddress())
        .findFirst();
  }

  @Test
  void clientOfTheSameMachineIsNeverUnderBbr() throws IOException {
    String system = ofSystem();
    assertEquals(
        List.of("reno", system.startsWith("bbr") ? "reno" : system),
        chosen(InetAddress.getLoopbackAddress()));
  }

  @Test
  void clientWithAnotherAddressHasWhatTheSystemChooses() throws IOException {
    Optional<InetAddress> outward = outwardAddress();
    assumeTrue(outward.isPresent(), "needs an address besides loopback");
    assertEquals(ofSystem(), chosen(outward.get()).getFirst());
  }
}
