// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.disc;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// NBD_CMD_DISC directly behind requests loses none of their replies: 10,000 sessions.
class DisconnectTest {
  private static final int SESSIONS = 2500;
  private static final int READS = 6;
  private static final int LENGTH = 3000;

  enum Transport {
    UNIX,
    TCP
  }

  enum Completed {
    INLINE,
    ELSEWHERE
  }

  @ParameterizedTest
  @CsvSource({"UNIX,INLINE", "UNIX,ELSEWHERE", "TCP,INLINE", "TCP,ELSEWHERE"})
  void repliesComeBeforeTheEnd(Transport transport, Completed completed) throws IOException {
    MemoryExport disk = new MemoryExport(1 << 20, MemoryExport.WRITABLE);
    if (completed == Completed.ELSEWHERE) {
      ConnectionEndTest.completeElsewhere(disk);
    }
    Path directory = Files.createTempDirectory("nbdtest");
    Path socket = directory.resolve("s");
    NbdServer server =
        NbdServer.start(
            new ServerConfig(
                List.of(
                    new ServerConfig.Listen.Unix(socket),
                    new ServerConfig.Listen.Tcp(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))),
                TestServer.LIMITS),
            disk);
    try {
      NbdUri.Tcp tcp = (NbdUri.Tcp) server.uris().get(1);
      byte[] requests = RawPeer.concat(ConnectionEndTest.reads(READS, LENGTH), disc());
      for (int session = 0; session < SESSIONS; session++) {
        try (RawPeer peer =
            transport == Transport.UNIX
                ? RawPeer.connect(socket)
                : new RawPeer(SocketChannel.open(new InetSocketAddress(tcp.host(), tcp.port())))) {
          peer.begin(false);
          peer.send(requests);
          ConnectionEndTest.assertAllReplies(peer, READS, LENGTH);
        }
      }
    } finally {
      server.close(Duration.ofSeconds(1));
      Files.deleteIfExists(socket);
      Files.delete(directory);
    }
  }
}
