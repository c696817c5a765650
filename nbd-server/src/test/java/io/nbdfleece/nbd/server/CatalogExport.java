// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;

/// A catalog of several exports, for a [TestServer]. Some may be listed without being there, as one
/// that went away in between, or that this client may not have.
class CatalogExport extends MemoryExport {
  final Map<String, MemoryExport> exports = new TreeMap<>();
  final AtomicInteger lookups = new AtomicInteger();
  private final List<String> listed;

  CatalogExport(String... listed) {
    super(512, MemoryExport.WRITABLE);
    this.listed = List.of(listed);
  }

  CatalogExport with(String name, MemoryExport export) {
    exports.put(name, export);
    return this;
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    lookups.incrementAndGet();
    return Optional.ofNullable(exports.get(name));
  }

  @Override
  public List<String> names(ClientIdentity client) {
    return listed.isEmpty() ? List.copyOf(exports.keySet()) : listed;
  }
}
