// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.remote;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;

/// Connects, and turns what goes wrong into a [CommandFailure]: [ExitCode#USAGE] for a URI that is
/// none, [ExitCode#NOT_FOUND] for an export that is not there, [ExitCode#NOT_TRUSTED] when the
/// encryption or the proof of identity fails, else [ExitCode#UNREACHABLE].
public final class RemoteServer {
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
      throw failure(e);
    }
  }

  /// All exports that the server lists.
  public static List<NbdClient.ListedExport> list(NbdUri uri) throws CommandFailure {
    try {
      return NbdClient.list(uri, ClientOptions.defaults());
    } catch (IOException e) {
      throw failure(e);
    }
  }

  private static CommandFailure failure(IOException error) {
    return new CommandFailure(codeOf(error), Messages.of(error), error);
  }

  static ExitCode codeOf(IOException error) {
    if (causes(error).anyMatch(RemoteServer::isAboutTrust)) {
      return ExitCode.NOT_TRUSTED;
    }
    // The library has one exception for all that a server may answer during the handshake; what it
    // says is its own text, not the server's.
    String text = Messages.of(error);
    boolean noSuchExport = text.contains("has no export") || text.contains("none of that name");
    return noSuchExport ? ExitCode.NOT_FOUND : ExitCode.UNREACHABLE;
  }

  private static boolean isAboutTrust(Throwable cause) {
    return cause instanceof SSLException
        || cause instanceof GeneralSecurityException
        || cause.getClass().getSimpleName().startsWith("Tls")
        || Messages.of(cause).toLowerCase(Locale.ROOT).contains("needs tls");
  }

  private static Stream<Throwable> causes(Throwable error) {
    return Stream.iterate(error, cause -> cause != null, Throwable::getCause).limit(20);
  }
}
