// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.util.List;
import java.util.Optional;

/// The exports a server offers at this moment. Called on event loops, by several at once; MUST NOT
/// wait.
public interface ExportCatalog {

  /// The export of that name. The empty name asks for the default export, if there is one.
  Optional<Export> find(String name);

  /// The names that NBD_OPT_LIST shows, in a stable order.
  List<String> names();
}
