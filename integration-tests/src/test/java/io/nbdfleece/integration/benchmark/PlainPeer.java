// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// A peer that serves a disk, and knows no snapshots: started for its first turn, it runs until the
/// case is over.
final class PlainPeer implements Subject {
  private final String name;
  private final List<String> command;
  private final Workplace place;
  private final Address address;
  private final Path log;
  private final Optional<Path> image;
  private final List<String> fill;
  private Optional<Daemon> daemon = Optional.empty();

  /// @param image the file that it serves; empty for one that serves memory
  /// @param fill what to run once it is there, or nothing
  PlainPeer(
      String name,
      List<String> command,
      Workplace place,
      Address address,
      Path log,
      Optional<Path> image,
      List<String> fill) {
    this.name = name;
    this.command = List.copyOf(command);
    this.place = place;
    this.address = address;
    this.log = log;
    this.image = image;
    this.fill = List.copyOf(fill);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public void begin() throws IOException, InterruptedException {
    if (daemon.isEmpty()) {
      daemon = Optional.of(Daemon.start(command, place, address, log));
      if (!fill.isEmpty()) {
        String _ = Tool.run(fill);
      }
    }
  }

  @Override
  public String diskUri() {
    return address.uri("vda");
  }

  @Override
  public String pullUri() {
    return diskUri();
  }

  @Override
  public void end() {}

  @Override
  public void stop() throws IOException, InterruptedException {
    if (daemon.isPresent()) {
      daemon.get().stop();
      daemon = Optional.empty();
    }
  }

  @Override
  public Optional<Path> image() {
    return image;
  }

  @Override
  public Daemon daemon() {
    return daemon.orElseThrow();
  }
}
