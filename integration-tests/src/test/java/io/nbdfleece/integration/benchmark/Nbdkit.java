// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// nbdkit with the file plugin, or with the memory plugin, which has no file to read.
final class Nbdkit {
  static final String PROGRAM = "nbdkit";

  /// How the name of the one without a file begins.
  static final String MEMORY = "nbdkit memory";

  private Nbdkit() {}

  static PlainPeer file(PeerPrograms programs, Workplace place, Path image, Transport transport)
      throws IOException, InterruptedException {
    Address address = Address.of(transport, place, "nbdkit-file");
    return of("file", programs, place, address, Optional.of(image), "file=" + image, List.of());
  }

  /// @param content what its memory is filled with
  static PlainPeer memory(
      PeerPrograms programs, Workplace place, Path content, int sizeMib, Transport transport)
      throws IOException, InterruptedException {
    Address address = Address.of(transport, place, "nbdkit-memory");
    return of(
        "memory",
        programs,
        place,
        address,
        Optional.empty(),
        "size=" + sizeMib + "M",
        List.of(programs.path("nbdcopy"), content.toString(), address.uri("vda")));
  }

  private static PlainPeer of(
      String plugin,
      PeerPrograms programs,
      Workplace place,
      Address address,
      Optional<Path> image,
      String argument,
      List<String> fill)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.addAll(List.of(programs.path(PROGRAM), "--foreground"));
    switch (address.transport()) {
      case UNIX -> command.add("--unix=" + address.socket());
      case TCP -> command.addAll(List.of("--ipaddr=127.0.0.1", "--port=" + address.port()));
    }
    command.addAll(List.of(programs.nbdkitPlugin(plugin), argument));
    String name = PROGRAM + " " + plugin + " " + programs.version(PROGRAM);
    Path log = place.resolve("nbdkit-" + plugin + ".log");
    return new PlainPeer(name, command, place, address, log, image, fill);
  }
}
