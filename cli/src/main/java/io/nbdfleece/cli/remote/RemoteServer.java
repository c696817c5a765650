// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.remote;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;

/// Connects, and turns what goes wrong into a [CommandFailure]: [ExitCode#USAGE] for a URI that is
/// none, [ExitCode#NOT_FOUND] for an export that is not there, [ExitCode#NOT_TRUSTED] when the
/// encryption or the proof of identity fails, else [ExitCode#UNREACHABLE].
public final class RemoteServer {
  private static final int CAUSES_MAX = 20;
  private static final List<String> TRUST_TEXTS =
      List.of(
          "TLS: the handshake failed",
          "requires TLS",
          "does not do TLS",
          "too old for TLS",
          "cannot be used for TLS",
          "no certificates in");

  private RemoteServer() {}

  /// Reads a URI from a command line.
  public static NbdUri uri(String text) throws CommandFailure {
    try {
      return NbdUri.parse(text);
    } catch (IllegalArgumentException e) {
      throw new CommandFailure(ExitCode.USAGE, Messages.of(e), e);
    }
  }

  /// Opens the export of the URI.
  public static NbdClient connect(NbdUri uri, ClientOptions options) throws CommandFailure {
    try {
      return NbdClient.connect(uri, options);
    } catch (IOException e) {
      throw failure(uri, e);
    }
  }

  /// All exports that the server lists.
  public static List<NbdClient.ListedExport> list(NbdUri uri) throws CommandFailure {
    try {
      return NbdClient.list(uri, ClientOptions.defaults());
    } catch (IOException e) {
      throw failure(uri, e);
    }
  }

  private static CommandFailure failure(NbdUri uri, IOException error) {
    if (uri instanceof NbdUri.Unix unix && isOther(unix.socket())) {
      return new CommandFailure(
          ExitCode.UNREACHABLE, uri + ": " + unix.socket() + " is no socket: check the URI", error);
    }
    return new CommandFailure(codeOf(uri, error), Messages.of(error), error);
  }

  /// Whether something else than a socket is there. Neither the connection's failure nor the
  /// library tells.
  private static boolean isOther(Path path) {
    return Files.isRegularFile(path) || Files.isDirectory(path);
  }

  /// The library has one exception for all that goes wrong before an export is open. What its
  /// message says in its own words, not in the server's, decides.
  static ExitCode codeOf(NbdUri uri, IOException error) {
    String text = Messages.of(error);
    if (causes(error).anyMatch(RemoteServer::isAboutTrust)
        || credentials(uri).anyMatch(path -> text.startsWith(uri + ": " + path))
        || TRUST_TEXTS.stream().anyMatch(text::contains)) {
      return ExitCode.NOT_TRUSTED;
    }
    boolean noSuchExport = text.contains("has no export") || text.contains("none of that name");
    return noSuchExport ? ExitCode.NOT_FOUND : ExitCode.UNREACHABLE;
  }

  private static Stream<Path> credentials(NbdUri uri) {
    return uri.tls().stream()
        .flatMap(tls -> Stream.concat(tls.certificates().stream(), tls.pskFile().stream()));
  }

  // A FileSystemException is a certificate or key file: a socket that is not there has another one.
  private static boolean isAboutTrust(Throwable cause) {
    return cause instanceof SSLException
        || cause instanceof GeneralSecurityException
        || cause instanceof FileSystemException;
  }

  private static Stream<Throwable> causes(Throwable error) {
    List<Throwable> causes = new ArrayList<>();
    Throwable cause = error;
    while (cause != null && causes.size() < CAUSES_MAX) {
      causes.add(cause);
      cause = cause.getCause();
    }
    return causes.stream();
  }
}
