// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.OptionReply;
import io.nbdfleece.nbd.wire.WireText;
import io.netty.buffer.ByteBuf;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
///
/// ```
///   ┌─────────┬────────┬───────┬────────────────────┐
///   │ name    │ name … │ count │ count × (length,   │
///   │ length  │        │ 32 bit│          query …)  │
///   └─────────┴────────┴───────┴────────────────────┘
/// ```
///
/// A listing takes `namespace:` and any longer prefix that ends in a colon for "all below". A
/// selection takes exact names only. What is unknown is ignored in both.
final class OptionMetaContext {
  private OptionMetaContext() {}

  static boolean answer(Haggling haggling, int option, ByteBuf payload) {
    boolean select = option == Nbd.OPT_SET_META_CONTEXT;
    if (select) {
      // A new selection replaces the earlier one even when it fails.
      haggling.selectMeta(Haggling.MetaSelection.NONE);
      if (!haggling.structuredReplies()) {
        haggling.error(option, Nbd.REP_ERR_INVALID, "structured replies must be agreed first");
        return true;
      }
    }
    int bytes = payload.readableBytes();
    long nameBytes = bytes < 8 ? -1 : payload.readUnsignedInt();
    if (nameBytes < 0 || nameBytes > bytes - 8) {
      haggling.error(option, Nbd.REP_ERR_INVALID, "name length does not fit the option's length");
      return true;
    }
    Optional<String> name = WireText.read(payload, (int) nameBytes);
    Optional<List<String>> queries = queries(payload);
    if (queries.isEmpty()) {
      haggling.error(option, Nbd.REP_ERR_INVALID, "queries do not fit the option's length");
      return true;
    }
    if (name.isEmpty()) {
      haggling.badText(option);
      return true;
    }
    Optional<Export> export = haggling.find(name.get());
    if (export.isEmpty()) {
      haggling.error(option, Nbd.REP_ERR_UNKNOWN, "no export named " + WireText.quoted(name.get()));
      return true;
    }
    List<String> offered = export.get().info().metaContexts();
    if (select) {
      select(haggling, name.get(), offered, queries.get());
    } else {
      list(haggling, offered, queries.get());
    }
    haggling.ack(option);
    return true;
  }

  private static Optional<List<String>> queries(ByteBuf payload) {
    long count = payload.readUnsignedInt();
    List<String> queries = new ArrayList<>();
    for (long index = 0; index < count; index++) {
      if (payload.readableBytes() < 4) {
        return Optional.empty();
      }
      long queryBytes = payload.readUnsignedInt();
      if (queryBytes > payload.readableBytes()) {
        return Optional.empty();
      }
      Optional<String> query = WireText.read(payload, (int) queryBytes);
      if (query.isEmpty()) {
        return Optional.empty();
      }
      queries.add(query.get());
    }
    return payload.isReadable() ? Optional.empty() : Optional.of(queries);
  }

  private static void list(Haggling haggling, List<String> offered, List<String> queries) {
    for (String context : offered) {
      if (queries.isEmpty() || queries.stream().anyMatch(query -> lists(query, context))) {
        OptionReply.metaContext(haggling.out(), Nbd.OPT_LIST_META_CONTEXT, 0, context);
      }
    }
  }

  private static boolean lists(String query, String context) {
    return query.endsWith(":") ? context.startsWith(query) : context.equals(query);
  }

  private static void select(
      Haggling haggling, String exportName, List<String> offered, List<String> queries) {
    Set<String> chosen = new LinkedHashSet<>(queries);
    chosen.retainAll(offered);
    List<String> contexts = List.copyOf(chosen);
    for (int index = 0; index < contexts.size(); index++) {
      OptionReply.metaContext(
          haggling.out(),
          Nbd.OPT_SET_META_CONTEXT,
          ContextSelection.id(index),
          contexts.get(index));
    }
    haggling.selectMeta(new Haggling.MetaSelection(exportName, contexts));
  }
}
