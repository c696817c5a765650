// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// One catalog after the other.
record BothCatalogs(ExportCatalog first, ExportCatalog second) implements ExportCatalog {

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    return first.find(name, client).or(() -> second.find(name, client));
  }

  @Override
  public List<String> names(ClientIdentity client) {
    Set<String> names = new LinkedHashSet<>(first.names(client));
    names.addAll(second.names(client));
    return List.copyOf(names);
  }

  @Override
  public boolean needsTls(String name) {
    return first.needsTls(name) || second.needsTls(name);
  }
}
