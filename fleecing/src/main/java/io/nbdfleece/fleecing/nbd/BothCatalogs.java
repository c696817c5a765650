// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.BooleanSupplier;

/// One catalog after the other, or, at the moment, the first alone.
record BothCatalogs(ExportCatalog first, ExportCatalog second, BooleanSupplier together)
    implements ExportCatalog {

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    Optional<Export> found = first.find(name, client);
    return found.isPresent() || !together.getAsBoolean() ? found : second.find(name, client);
  }

  @Override
  public String canonicalName(String name, ClientIdentity client) {
    return first.find(name, client).isPresent()
        ? first.canonicalName(name, client)
        : second.canonicalName(name, client);
  }

  @Override
  public List<String> names(ClientIdentity client) {
    Set<String> names = new LinkedHashSet<>(first.names(client));
    if (together.getAsBoolean()) {
      names.addAll(second.names(client));
    }
    return List.copyOf(names);
  }

  @Override
  public boolean needsTls(String name) {
    return first.needsTls(name) || (together.getAsBoolean() && second.needsTls(name));
  }
}
