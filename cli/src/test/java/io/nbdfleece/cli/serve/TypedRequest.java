// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/// What somebody typed after `serve`, for tests: defaults but for what they set.
final class TypedRequest {
  static final long PID = 4711;

  List<String> places = List.of("disk.img");
  List<String> named = List.of();
  boolean readOnly;
  long reconnectDelaySeconds = 60;
  int upstreamConnections = 4;
  Optional<String> unix = Optional.empty();
  OptionalInt port = OptionalInt.empty();
  Optional<String> address = Optional.empty();
  boolean insecure;
  Optional<String> tls = Optional.empty();
  Optional<Path> certificates = Optional.empty();
  Optional<Path> psk = Optional.empty();
  boolean verifyPeer;
  List<String> allow = List.of();
  List<String> limits = List.of();
  Optional<Path> qmp = Optional.empty();
  Optional<String> run = Optional.empty();
  Map<String, String> environment = Map.of();

  ServeOptions resolve() throws IOException {
    return new ServeRequest(
            new DiskRequest(
                places, named, readOnly, false, reconnectDelaySeconds, upstreamConnections),
            new ListenRequest(unix, port, address, insecure),
            new TlsRequest(tls, certificates, psk, verifyPeer, allow),
            limits,
            new StoreRequest(
                256 << 20,
                Path.of("/var/tmp"),
                Optional.empty(),
                Optional.empty(),
                "BREAK_SNAPSHOT",
                30,
                80,
                Duration.ZERO,
                Optional.empty()),
            new LifeRequest(qmp, Optional.empty(), Optional.empty(), run, false))
        .resolve(environment, PID);
  }
}
