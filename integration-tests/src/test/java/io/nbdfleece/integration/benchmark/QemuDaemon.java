// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// qemu-storage-daemon on a raw file, with its defaults but for the number of clients.
final class QemuDaemon {
  static final String PROGRAM = "qemu-storage-daemon";

  private QemuDaemon() {}

  static PlainPeer of(PeerPrograms programs, Workplace place, Path image, Transport transport)
      throws IOException, InterruptedException {
    return of(programs, place, image, Address.of(transport, place, "qsd"), List.of());
  }

  /// @param more further options
  static PlainPeer of(
      PeerPrograms programs, Workplace place, Path image, Address address, List<String> more)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(programs.path(PROGRAM));
    command.addAll(List.of("--blockdev", "driver=file,node-name=disk,filename=" + image));
    command.addAll(server(address));
    command.addAll(export("vda", "disk", "on"));
    command.addAll(more);
    return new PlainPeer(
        PROGRAM + " " + programs.version(PROGRAM),
        command,
        place,
        address,
        place.resolve("qsd.log"),
        Optional.of(image),
        List.of());
  }

  static List<String> server(Address address) {
    String where =
        switch (address.transport()) {
          case UNIX -> "addr.type=unix,addr.path=" + address.socket();
          case TCP -> "addr.type=inet,addr.host=127.0.0.1,addr.port=" + address.port();
        };
    return List.of("--nbd-server", where + ",max-connections=0");
  }

  static List<String> export(String name, String node, String writable) {
    return List.of(
        "--export",
        "type=nbd,id=" + name + ",node-name=" + node + ",name=" + name + ",writable=" + writable);
  }
}
