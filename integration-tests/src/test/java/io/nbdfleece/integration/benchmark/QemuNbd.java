// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// qemu-nbd on a raw file, with its defaults but for the number of clients.
final class QemuNbd {
  static final String PROGRAM = "qemu-nbd";

  private QemuNbd() {}

  static PlainPeer of(PeerPrograms programs, Workplace place, Path image, Transport transport)
      throws IOException, InterruptedException {
    String name = PROGRAM + " " + programs.version(PROGRAM);
    Address address = Address.of(transport, place, PROGRAM);
    List<String> command = new ArrayList<>();
    command.addAll(List.of(programs.path(PROGRAM), "--format=raw", "--export-name=vda"));
    command.addAll(List.of("--persistent", "--shared=0"));
    switch (transport) {
      case UNIX -> command.add("--socket=" + address.socket());
      case TCP -> command.addAll(List.of("--bind=127.0.0.1", "--port=" + address.port()));
    }
    command.add(image.toString());
    return new PlainPeer(
        name,
        command,
        place,
        address,
        place.resolve(PROGRAM + ".log"),
        Optional.of(image),
        List.of());
  }
}
