// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.info;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.info.ServerFacts.ListedFacts;
import io.nbdfleece.nbd.client.NegotiatedExport;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// For programs: the keys of `nbdinfo --json`.
public final class InfoJson {
  private InfoJson() {}

  /// The document.
  public static ObjectNode of(ServerFacts server) {
    ObjectNode document =
        Json.object()
            .put("protocol", "newstyle-fixed")
            .put("TLS", server.tls())
            .put("structured", server.structured())
            .put("extended", server.extended());
    ArrayNode exports = Json.array();
    server.exports().forEach(export -> exports.add(of(export)));
    document.set("exports", exports);
    return document;
  }

  private static ObjectNode of(ListedFacts export) {
    ObjectNode node = Json.object().put("export-name", export.uri().exportName());
    if (!export.description().isEmpty()) {
      node.put("description", export.description());
    }
    node.put("uri", export.uri().toString());
    if (export.negotiated().isEmpty()) {
      return node.put("error", export.failure());
    }
    NegotiatedExport negotiated = export.negotiated().get();
    if (!negotiated.contexts().isEmpty()) {
      ArrayNode contexts = Json.array();
      negotiated.contexts().forEach(contexts::add);
      node.set("contexts", contexts);
    }
    Question.flags(negotiated).forEach(node::put);
    negotiated.minimumBlockBytes().ifPresent(bytes -> node.put("block_size_minimum", bytes));
    negotiated.preferredBlockBytes().ifPresent(bytes -> node.put("block_size_preferred", bytes));
    negotiated.maximumBlockBytes().ifPresent(bytes -> node.put("block_size_maximum", bytes));
    return node.put("export-size", negotiated.sizeBytes())
        .put("export-size-str", HumanSize.exact(negotiated.sizeBytes()));
  }
}
