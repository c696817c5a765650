// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// nbdfleece, started for each turn: nothing of it is warm.
final class Fresh implements Subject {
  private final Build build;
  private final Workplace place;
  private final Path image;
  private final List<String> serveOptions;
  private Optional<Nbdfleece> server = Optional.empty();

  Fresh(Build build, Workplace place, Path image, List<String> serveOptions) {
    this.build = build;
    this.place = place;
    this.image = image;
    this.serveOptions = List.copyOf(serveOptions);
  }

  @Override
  public String name() {
    return build.title();
  }

  @Override
  public void begin() throws IOException, InterruptedException {
    server =
        Optional.of(Nbdfleece.start(build, place, build.title(), "fresh", image, serveOptions));
  }

  /// Once begun.
  Nbdfleece server() {
    return server.orElseThrow();
  }

  @Override
  public String diskUri() {
    return server().disk(Transport.UNIX).diskUri();
  }

  @Override
  public String pullUri() {
    return diskUri();
  }

  @Override
  public void end() throws IOException, InterruptedException {
    if (server.isPresent()) {
      server.get().stop();
      server = Optional.empty();
    }
  }

  @Override
  public void stop() throws IOException, InterruptedException {
    end();
  }

  @Override
  public Optional<Path> image() {
    return Optional.of(image);
  }

  @Override
  public Daemon daemon() {
    return server().daemon();
  }
}
