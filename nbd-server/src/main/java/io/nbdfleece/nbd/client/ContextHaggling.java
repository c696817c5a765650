// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT for one export. Used by the thread that
/// connects.
final class ContextHaggling {
  /// Every context costs a part of each status reply; of a server that lists more, the first ones
  /// are taken.
  private static final int CONTEXT_COUNT_MAX = 64;

  /// Of all names taken, so that the option stays as short as careful servers want it.
  private static final int QUERY_BYTES_MAX = 48 << 10;

  private final OptionExchange options;
  private final byte[] export;

  ContextHaggling(OptionExchange options, String exportName) {
    this.options = options;
    this.export = exportName.getBytes(UTF_8);
  }

  /// All contexts that the server lists, in its order.
  List<String> list() throws IOException {
    List<String> listed = new ArrayList<>();
    OptionReply reply = query(Nbd.OPT_LIST_META_CONTEXT, List.of());
    while (reply.type() == Nbd.REP_META_CONTEXT) {
      Context context = context(reply);
      if (!listed.contains(context.name()) && listed.size() < CONTEXT_COUNT_MAX) {
        listed.add(context.name());
      }
      reply = options.receive(Nbd.OPT_LIST_META_CONTEXT);
    }
    if (!reply.isError()) {
      options.requireAck(Nbd.OPT_LIST_META_CONTEXT, reply);
    }
    return listed;
  }

  /// Selects what the server has of the wanted contexts, in the order in which they were wanted.
  Map<Integer, String> select(List<String> wanted) throws IOException {
    List<String> names = withoutWildcards(wanted);
    if (names.isEmpty()) {
      return Map.of();
    }
    Map<String, Integer> idByContext = new LinkedHashMap<>();
    OptionReply reply = query(Nbd.OPT_SET_META_CONTEXT, names);
    while (reply.type() == Nbd.REP_META_CONTEXT) {
      Context context = context(reply);
      if (!names.contains(context.name())
          || idByContext.containsValue(context.id())
          || idByContext.putIfAbsent(context.name(), context.id()) != null) {
        throw new ProtocolViolationException(
            "metadata context "
                + context.id()
                + " "
                + ServerText.forPeople(context.name().getBytes(UTF_8))
                + " (expected: each one asked for, once)");
      }
      reply = options.receive(Nbd.OPT_SET_META_CONTEXT);
    }
    if (reply.isError()) {
      // Whatever is wrong with the export itself, GO will say it better.
      return Map.of();
    }
    options.requireAck(Nbd.OPT_SET_META_CONTEXT, reply);
    Map<Integer, String> contextById = new LinkedHashMap<>();
    for (String name : names) {
      Integer id = idByContext.get(name);
      if (id != null) {
        contextById.put(id, name);
      }
    }
    return contextById;
  }

  private List<String> withoutWildcards(List<String> wanted) throws IOException {
    if (wanted.stream().noneMatch(ContextHaggling::isWildcard)) {
      return wanted.stream().distinct().toList();
    }
    List<String> listed = list();
    Set<String> names = new LinkedHashSet<>();
    int bytes = 0;
    for (String want : wanted) {
      for (String name : isWildcard(want) ? listed : List.of(want)) {
        boolean matches = want.equals(ClientOptions.ALL_CONTEXTS) || name.startsWith(want);
        int nameBytes = 4 + name.getBytes(UTF_8).length;
        if (matches && names.size() < CONTEXT_COUNT_MAX && bytes + nameBytes <= QUERY_BYTES_MAX) {
          bytes += names.add(name) ? nameBytes : 0;
        }
      }
    }
    return List.copyOf(names);
  }

  private static boolean isWildcard(String context) {
    return context.equals(ClientOptions.ALL_CONTEXTS) || context.endsWith(":");
  }

  private OptionReply query(int option, List<String> names) throws IOException {
    List<byte[]> queries = names.stream().map(c -> c.getBytes(UTF_8)).toList();
    int bytes = 4 + export.length + 4 + queries.stream().mapToInt(q -> 4 + q.length).sum();
    ByteBuffer payload = ByteBuffer.allocate(bytes).putInt(export.length).put(export);
    payload.putInt(queries.size());
    queries.forEach(query -> payload.putInt(query.length).put(query));
    options.send(option, payload.flip());
    return options.receive(option);
  }

  private static Context context(OptionReply reply) throws ProtocolViolationException {
    if (reply.payload().remaining() < 5) {
      throw new ProtocolViolationException(
          "a metadata context of " + reply.payload().remaining() + " bytes");
    }
    int id = reply.payload().getInt();
    return new Context(id, ServerText.name("a metadata context", reply.takeRest()));
  }

  private record Context(int id, String name) {}
}
