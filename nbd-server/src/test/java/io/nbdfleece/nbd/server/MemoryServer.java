// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/// Serves memory to real peers, by hand: `MemoryServer SOCKET PORT MEGABYTES LOOPS`, until killed.
final class MemoryServer {
  private MemoryServer() {}

  public static void main(String[] args) throws Exception {
    MemoryExport disk = new MemoryExport(Integer.parseInt(args[2]) << 20, MemoryExport.WRITABLE);
    NbdServer server =
        NbdServer.start(
            new ServerConfig(
                List.of(
                    new ServerConfig.Listen.Unix(Path.of(args[0])),
                    new ServerConfig.Listen.Tcp(
                        new InetSocketAddress(
                            InetAddress.getLoopbackAddress(), Integer.parseInt(args[1])))),
                ServerLimits.defaults().withEventLoopCount(Integer.parseInt(args[3]))),
            disk);
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> server.close(Duration.ofSeconds(5)), "stop"));
    System.out.println(server.uris());
  }
}
