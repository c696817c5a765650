// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/// How to connect.
///
/// @param contexts metadata contexts wanted; those the server lacks are left out. A name that ends
///   in a colon, e.g. `qemu:dirty-bitmap:`, stands for all that the server lists below it, and
///   [#ALL_CONTEXTS] for all that it lists; of those at most 64 are taken
/// @param extendedHeaders whether to ask for them; a server without them is used all the same
/// @param loop the threads to use; the shared ones when empty
/// @param connectDeadline for connecting and for the handshake, each
public record ClientOptions(
    List<String> contexts,
    ExtendedHeaders extendedHeaders,
    Optional<NbdClientLoop> loop,
    Duration connectDeadline) {

  /// In place of a context: every one that the server lists.
  public static final String ALL_CONTEXTS = "*";

  public ClientOptions {
    contexts = List.copyOf(contexts);
    if (connectDeadline.compareTo(Duration.ofMillis(1)) < 0
        || connectDeadline.compareTo(Duration.ofDays(1)) > 0) {
      throw new IllegalArgumentException(
          "connectDeadline: " + connectDeadline + " (expected: 1 ms to 1 day)");
    }
  }

  /// No contexts, extended headers if the server has them, shared threads, 10 s.
  public static ClientOptions defaults() {
    return new ClientOptions(
        List.of(), ExtendedHeaders.IF_OFFERED, Optional.empty(), Duration.ofSeconds(10));
  }

  /// The same with other contexts.
  public ClientOptions withContexts(List<String> wanted) {
    return new ClientOptions(wanted, extendedHeaders, loop, connectDeadline);
  }

  /// The same on a loop of the caller's, which must stay open as long as the client.
  public ClientOptions withLoop(NbdClientLoop own) {
    return new ClientOptions(contexts, extendedHeaders, Optional.of(own), connectDeadline);
  }

  /// The same with or without extended headers.
  public ClientOptions withExtendedHeaders(ExtendedHeaders wanted) {
    return new ClientOptions(contexts, wanted, loop, connectDeadline);
  }

  /// The same with another deadline.
  public ClientOptions withConnectDeadline(Duration deadline) {
    return new ClientOptions(contexts, extendedHeaders, loop, deadline);
  }

  /// Whether lengths of 64 bits are asked for (NBD specification, "Extended headers").
  public enum ExtendedHeaders {
    IF_OFFERED,
    NEVER
  }
}
