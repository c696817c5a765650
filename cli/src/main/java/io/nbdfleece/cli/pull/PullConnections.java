// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.remote.RemoteServer;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/// The connections of one pull, all to the same export. The first one also asks for block status.
/// Used by one thread.
final class PullConnections implements AutoCloseable {
  private static final int CONNECTIONS_DEFAULT = 4;

  private final NbdUri uri;
  private final ExportInfo info;
  private final int requestBytesMax;
  private final List<NbdClient> clients;

  private PullConnections(NbdUri uri, List<NbdClient> clients) {
    this.uri = uri;
    this.info = clients.getFirst().info();
    this.requestBytesMax = requestBytesMax(clients.getFirst());
    this.clients = clients;
  }

  /// Connects.
  ///
  /// @param wanted how many, when the user says; more than one needs an export that allows it
  static PullConnections open(NbdUri uri, OptionalInt wanted) throws IOException {
    List<NbdClient> clients = new ArrayList<>();
    try {
      clients.add(connect(uri, 0));
      int count = countFor(clients.getFirst().info(), wanted);
      while (clients.size() < count) {
        clients.add(connect(uri, clients.size()));
        NbdClient first = clients.getFirst();
        requireSame(uri, first.info(), requestBytesMax(first), clients.getLast());
      }
      return new PullConnections(uri, clients);
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

  private static NbdClient connect(NbdUri uri, int index) throws CommandFailure {
    List<String> contexts = index == 0 ? List.of(ExportInfo.BASE_ALLOCATION) : List.of();
    return RemoteServer.connect(uri, ClientOptions.defaults().withContexts(contexts));
  }

  /// Puts a new connection in the place of one that broke, unless that has been done.
  void replace(NbdClient broken) throws IOException {
    for (int i = 0; i < clients.size(); i++) {
      if (clients.get(i) == broken) {
        broken.abort();
        clients.set(i, reconnect(i));
      }
    }
  }

  private NbdClient reconnect(int index) throws IOException {
    NbdClient fresh = connect(uri, index);
    try {
      requireSame(uri, info, requestBytesMax, fresh);
    } catch (IOException e) {
      fresh.close();
      throw e;
    }
    return fresh;
  }

  private static void requireSame(
      NbdUri uri, ExportInfo first, int requestBytesMax, NbdClient other) throws CommandFailure {
    ExportInfo now = other.info();
    if (now.sizeBytes() != first.sizeBytes() || !now.description().equals(first.description())) {
      throw new CommandFailure(
          ExitCode.FAILED,
          uri
              + ": the server came back with another export, \""
              + now.description()
              + "\" of "
              + now.sizeBytes()
              + " bytes: pull again from the start");
    }
    if (other.maximumRequestBytes() < requestBytesMax) {
      throw new CommandFailure(
          ExitCode.FAILED,
          uri
              + ": the server takes requests of "
              + other.maximumRequestBytes()
              + " bytes now, not of "
              + requestBytesMax
              + " as before: pull again");
    }
  }

  /// What the server said of the export.
  ExportInfo info() {
    return info;
  }

  /// A power of two, and what all servers take that have a maximum at all.
  int requestBytes(int wantedBytes) {
    return Math.min(wantedBytes, requestBytesMax);
  }

  private static int requestBytesMax(NbdClient client) {
    return Integer.highestOneBit(client.maximumRequestBytes());
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
