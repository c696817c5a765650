// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Sockets that another program has opened.
@Timeout(30)
final class InheritedSocketTest {
  @TempDir Path directory;

  @BeforeAll
  static void loadNativeCode() {
    assertTrue(Epoll.isAvailable());
  }

  private static NbdServer serve(int descriptor) throws IOException {
    return NbdServer.start(
        new ServerConfig(List.of(new ServerConfig.Listen.Inherited(descriptor)), TestServer.LIMITS),
        new MemoryExport(1 << 20, MemoryExport.WRITABLE));
  }

  private Socket unix() throws IOException {
    Socket socket = Socket.newSocketDomain();
    socket.bind(new DomainSocketAddress(directory.resolve("s").toString()));
    return socket;
  }

  @Test
  void unixSocketIsServedAndItsFileIsLeftAlone() throws IOException {
    Socket listening = unix();
    listening.listen(10);
    NbdServer server = serve(listening.intValue());
    assertEquals(List.of(new NbdUri.Unix(directory.resolve("s"), "")), server.uris());
    try (RawPeer first = RawPeer.open(directory.resolve("s"), false);
        RawPeer second = RawPeer.open(directory.resolve("s"), false)) {
      first.send(request(Nbd.CMD_FLUSH, 1, 0, 0));
      assertEquals(1, first.reply().cookie());
      second.send(request(Nbd.CMD_FLUSH, 2, 0, 0));
      assertEquals(2, second.reply().cookie());
    } finally {
      server.close(Duration.ZERO);
    }
    assertTrue(Files.exists(directory.resolve("s")));
    assertThrows(IOException.class, () -> RawPeer.connect(directory.resolve("s")));
  }

  @Test
  void tcpSocketIsServed() throws IOException {
    LinuxSocket listening = LinuxSocket.newSocketStream(false);
    listening.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    listening.listen(10);
    NbdServer server = serve(listening.intValue());
    try {
      NbdUri.Tcp uri = (NbdUri.Tcp) server.uris().getFirst();
      assertEquals("127.0.0.1", uri.host());
      try (RawPeer peer =
          new RawPeer(SocketChannel.open(new InetSocketAddress(uri.host(), uri.port())))) {
        peer.greet(3);
        peer.go();
      }
    } finally {
      server.close(Duration.ZERO);
    }
  }

  @Test
  void descriptorIsMadeNotToBlock() throws IOException {
    Socket listening = unix();
    listening.listen(10);
    InheritedSocket adopted = InheritedSocket.adopt(listening.intValue());
    try {
      String info = Files.readString(Path.of("/proc/self/fdinfo/" + adopted.descriptor()));
      int flags = Integer.parseInt(info.replaceAll("(?s).*flags:\\s*([0-7]+).*", "$1"), 8);
      assertEquals(04000, flags & 04000, "O_NONBLOCK");
    } finally {
      new FileDescriptor(adopted.descriptor()).close();
    }
  }

  private static void assertRefused(String why, int descriptor) {
    IOException e = assertThrows(IOException.class, () -> serve(descriptor));
    String text = String.valueOf(e.getMessage());
    assertTrue(text.contains("descriptor " + descriptor) && text.contains(why), text);
  }

  @Test
  void cve202540080AnythingButAListeningStreamSocketIsRefusedAndLeftOpen() throws IOException {
    Socket bound = unix();
    assertRefused("does not listen", bound.intValue());
    bound.listen(1);
    bound.close();
    Socket datagrams = Socket.newSocketDomainDgram();
    assertRefused("is not a stream socket", datagrams.intValue());
    datagrams.close();
    LinuxSocket udp = LinuxSocket.newSocketDgram(false);
    assertRefused("is not a stream socket", udp.intValue());
    udp.close();
    FileDescriptor[] pipe = FileDescriptor.pipe();
    assertRefused("is not a socket", pipe[0].intValue());
    pipe[0].close();
    pipe[1].close();
    assertRefused("is not open", 1_000_000);
  }
}
