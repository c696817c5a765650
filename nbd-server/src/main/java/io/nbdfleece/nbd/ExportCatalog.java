// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.util.List;
import java.util.Optional;

/// The exports a server offers at this moment. Called on event loops, by several at once; MUST NOT
/// wait. A catalog that serves some clients only answers by who asks: what a client may not open it
/// does not see, neither by name nor in a listing.
public interface ExportCatalog {

  /// The export of that name, if there is one and this client may open it. The empty name asks for
  /// the default export, if there is one.
  Optional<Export> find(String name, ClientIdentity client);

  /// The name in [#names] of what [#find] finds by that name: another one for the default export,
  /// if it has a name.
  default String canonicalName(String name, ClientIdentity client) {
    return name;
  }

  /// The names that NBD_OPT_LIST shows to this client, in a stable order.
  List<String> names(ClientIdentity client);

  /// Whether an export of that name exists that can be opened over TLS only, so that a client
  /// without TLS is told NBD_REP_ERR_TLS_REQD instead of NBD_REP_ERR_UNKNOWN.
  default boolean needsTls(String name) {
    return false;
  }
}
