// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/// The connections of one pull, all to the same export. The first one also asks for block status.
final class PullConnections implements AutoCloseable {
  private static final int CONNECTIONS_DEFAULT = 4;

  private final List<NbdClient> clients;

  private PullConnections(List<NbdClient> clients) {
    this.clients = clients;
  }

  /// Connects.
  ///
  /// @param wanted how many, when the user says; more than one needs an export that allows it
  static PullConnections open(NbdUri uri, OptionalInt wanted) throws IOException {
    List<NbdClient> clients = new ArrayList<>();
    try {
      NbdClient first = connect(uri, List.of(ExportInfo.BASE_ALLOCATION));
      clients.add(first);
      int count = countFor(first.info(), wanted);
      while (clients.size() < count) {
        clients.add(connect(uri, List.of()));
      }
      return new PullConnections(clients);
    } catch (IOException e) {
      clients.forEach(NbdClient::close);
      throw e;
    }
  }

  private static int countFor(ExportInfo info, OptionalInt wanted) throws CommandFailure {
    boolean several = info.can(ExportInfo.Ability.MULTI_CONN);
    if (wanted.isPresent() && wanted.getAsInt() > 1 && !several) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--connections "
              + wanted.getAsInt()
              + ": the server does not allow several connections to this export: use 1");
    }
    return wanted.orElse(several ? CONNECTIONS_DEFAULT : 1);
  }

  private static NbdClient connect(NbdUri uri, List<String> contexts) throws IOException {
    try {
      return NbdClient.connect(uri, contexts);
    } catch (IOException e) {
      String text = Messages.of(e);
      boolean noSuchExport = text.contains("has no export") || text.contains("none of that name");
      throw new CommandFailure(noSuchExport ? ExitCode.NOT_FOUND : ExitCode.UNREACHABLE, text, e);
    }
  }

  /// What the server said of the export.
  ExportInfo info() {
    return clients.getFirst().info();
  }

  int count() {
    return clients.size();
  }

  NbdClient client(int index) {
    return clients.get(index);
  }

  @Override
  public void close() {
    clients.forEach(NbdClient::close);
  }
}
