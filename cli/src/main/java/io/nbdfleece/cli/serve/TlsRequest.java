// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.server.ServerTls;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// Encryption, as typed.
///
/// @param mode `off`, `on` or `require`; when empty `require` if there are credentials, else `off`
/// @param certificates directory of X.509 files
/// @param psk file of pre-shared keys
/// @param allow `DISK=NAME` each: the disk, and its snapshots, are for these clients only
public record TlsRequest(
    Optional<String> mode,
    Optional<Path> certificates,
    Optional<Path> psk,
    boolean verifyPeer,
    List<String> allow) {

  public TlsRequest {
    allow = List.copyOf(allow);
  }

  ServerTls resolve() throws CommandFailure {
    if (certificates.isPresent() && psk.isPresent()) {
      throw usage("--tls-certificates and --tls-psk: give one of the two");
    }
    Optional<TlsCredentials> credentials = credentials();
    ServerTls.Mode wanted = mode(credentials.isPresent());
    if (wanted == ServerTls.Mode.OFF) {
      if (verifyPeer || !allow.isEmpty()) {
        throw usage(
            (verifyPeer ? "--tls-verify-peer" : "--tls-allow")
                + ": without encryption clients prove nothing: give --tls-certificates DIR or"
                + " --tls-psk FILE, and not --tls off");
      }
      return ServerTls.OFF;
    }
    if (credentials.isEmpty()) {
      throw usage("--tls " + name(wanted) + ": it needs --tls-certificates DIR or --tls-psk FILE");
    }
    // Who holds a pre-shared key has proved it by that.
    boolean verifyClients = certificates.isPresent() && (verifyPeer || !allow.isEmpty());
    return new ServerTls(wanted, credentials, verifyClients);
  }

  /// Who may open a disk, for each disk that has such a list.
  Map<String, Set<String>> allowedNames(Set<String> disks) throws CommandFailure {
    Map<String, Set<String>> allowed = new HashMap<>();
    for (String entry : allow) {
      int equals = entry.indexOf('=');
      if (equals < 1 || equals == entry.length() - 1) {
        throw usage(
            "--tls-allow " + entry + ": give DISK=NAME, e.g. --tls-allow vda=backup.example.com");
      }
      String disk = entry.substring(0, equals);
      if (!disks.contains(disk)) {
        throw usage(
            "--tls-allow "
                + entry
                + ": no disk \""
                + disk
                + "\" is served: give one of "
                + ShownNames.list(new TreeSet<>(disks)));
      }
      Set<String> names = allowed.computeIfAbsent(disk, _ -> new TreeSet<>());
      // The same name twice says no more than once.
      boolean _ = names.add(entry.substring(equals + 1));
    }
    return allowed;
  }

  private Optional<TlsCredentials> credentials() throws CommandFailure {
    if (certificates.isPresent()) {
      Path directory = certificates.get();
      if (!Files.isDirectory(directory)) {
        throw new CommandFailure(
            ExitCode.NOT_FOUND,
            "--tls-certificates "
                + directory
                + ": no such directory: create it, with ca-cert.pem, server-cert.pem and"
                + " server-key.pem");
      }
      return Optional.of(new TlsCredentials.X509(directory));
    }
    if (psk.isPresent()) {
      if (!Files.exists(psk.get())) {
        throw new CommandFailure(
            ExitCode.NOT_FOUND,
            "--tls-psk "
                + psk.get()
                + ": no such file: create it, e.g. `psktool -u alice -p "
                + psk.get()
                + "`");
      }
      return Optional.of(new TlsCredentials.Psk(psk.get(), ""));
    }
    return Optional.empty();
  }

  private ServerTls.Mode mode(boolean hasCredentials) throws CommandFailure {
    if (mode.isEmpty()) {
      return hasCredentials ? ServerTls.Mode.REQUIRE : ServerTls.Mode.OFF;
    }
    for (ServerTls.Mode candidate : ServerTls.Mode.values()) {
      if (name(candidate).equals(mode.get())) {
        return candidate;
      }
    }
    throw usage("--tls " + mode.get() + ": give off, on or require");
  }

  static String name(ServerTls.Mode mode) {
    return mode.name().toLowerCase(Locale.ROOT);
  }

  private static CommandFailure usage(String message) {
    return new CommandFailure(ExitCode.USAGE, message);
  }
}
