// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient.ListedExport;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// The client's side of the handshake (NBD specification, "Handshake phase"), one method for each
/// step. Used once, by the thread that connects. Messages of its exceptions do not name the URI:
/// [Dialer] puts it in front.
///
/// ```
///   greeting ─▶ STRUCTURED_REPLY ─▶ SET_META_CONTEXT ─▶ GO ─▶ transmission
///      │ not fixed newstyle                  not known │
///      └───────────────▶ EXPORT_NAME ◀─────────────────┘
/// ```
final class Negotiation {
  /// The longest reply that the specification allows is an NBD_REP_SERVER with two strings.
  private static final int REPLY_BYTES_MAX = 4 + 2 * Nbd.STRING_BYTES_MAX;

  /// Bounds what a server can make the handshake keep.
  private static final long HANDSHAKE_BYTES_MAX = 16 << 20;

  private static final int LISTED_NAMES_MAX = 5;
  private static final long OLDSTYLE_MAGIC = 0x420281861253L;

  private final HandshakeStream stream;
  private final NbdUri uri;
  private int serverFlags;

  Negotiation(HandshakeStream stream, NbdUri uri) {
    this.stream = stream;
    this.uri = uri;
  }

  /// Opens the export of the URI.
  Negotiated open(List<String> contexts) throws IOException {
    greeting();
    ExportAnswer answer = new ExportAnswer(uri.exportName());
    if (!isFixedNewstyle()) {
      exportName(answer);
      return answer.negotiated(Negotiated.Replies.SIMPLE, Map.of());
    }
    Negotiated.Replies replies = structuredReplies();
    Map<Integer, String> contextById = Map.of();
    if (replies == Negotiated.Replies.STRUCTURED && !contexts.isEmpty()) {
      contextById = metaContexts(contexts);
    }
    go(answer);
    return answer.negotiated(replies, contextById);
  }

  /// NBD_OPT_LIST.
  List<ListedExport> list() throws IOException {
    greeting();
    if (!isFixedNewstyle()) {
      throw new IOException(
          "the server speaks a handshake too old to list its exports; give the export's name");
    }
    List<ListedExport> exports = listExports();
    abort();
    return exports;
  }

  /// NBD_OPT_ABORT, without awaiting the answer.
  void abort() {
    send(Nbd.OPT_ABORT, ByteBuffer.allocate(0));
  }

  private void greeting() throws IOException {
    ByteBuffer greeting = greetingBytes();
    if (greeting.getLong(0) != Nbd.NBDMAGIC) {
      byte[] sent = new byte[8];
      greeting.get(sent);
      throw new IOException(
          "not an NBD server: it sent \""
              + ServerText.forPeople(sent)
              + "\" (expected: NBDMAGIC); check host and port");
    }
    long style = stream.read(8).getLong();
    if (style == OLDSTYLE_MAGIC) {
      throw new IOException(
          "the server speaks the oldstyle handshake, which is not supported"
              + " (expected: newstyle); start it without its option for oldstyle");
    }
    if (style != Nbd.IHAVEOPT) {
      throw violation("0x" + Long.toHexString(style) + " behind NBDMAGIC (expected: IHAVEOPT)");
    }
    serverFlags = Short.toUnsignedInt(stream.read(2).getShort());
    int clientFlags = serverFlags & (Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES);
    stream.write(ByteBuffer.allocate(4).putInt(clientFlags).flip());
  }

  private ByteBuffer greetingBytes() throws IOException {
    try {
      return stream.read(8);
    } catch (HandshakeStream.HandshakeTimeoutException e) {
      throw new IOException(
          "the server is silent, "
              + e.getMessage()
              + " (expected: NBDMAGIC); is it an NBD server, and is it free? qemu-nbd serves one"
              + " client at a time unless started with --shared=N",
          e);
    } catch (HandshakeStream.HandshakeEndedException e) {
      throw new IOException(
          e.getMessage()
              + ", before the greeting; it may have reached its limit of connections, or not be"
              + " an NBD server",
          e);
    }
  }

  private boolean isFixedNewstyle() {
    return (serverFlags & Nbd.FLAG_FIXED_NEWSTYLE) != 0;
  }

  private Negotiated.Replies structuredReplies() throws IOException {
    send(Nbd.OPT_STRUCTURED_REPLY, ByteBuffer.allocate(0));
    OptionReply reply = receive(Nbd.OPT_STRUCTURED_REPLY);
    if (reply.isError()) {
      return Negotiated.Replies.SIMPLE;
    }
    requireAck(Nbd.OPT_STRUCTURED_REPLY, reply);
    return Negotiated.Replies.STRUCTURED;
  }

  /// NBD_OPT_SET_META_CONTEXT. The contexts come back in the order in which they were asked for.
  private Map<Integer, String> metaContexts(List<String> contexts) throws IOException {
    byte[] export = uri.exportName().getBytes(UTF_8);
    List<byte[]> queries = contexts.stream().map(c -> c.getBytes(UTF_8)).toList();
    int bytes = 4 + export.length + 4 + queries.stream().mapToInt(q -> 4 + q.length).sum();
    ByteBuffer payload = ByteBuffer.allocate(bytes).putInt(export.length).put(export);
    payload.putInt(queries.size());
    queries.forEach(query -> payload.putInt(query.length).put(query));
    send(Nbd.OPT_SET_META_CONTEXT, payload.flip());
    Map<String, Integer> idByContext = new LinkedHashMap<>();
    OptionReply reply = receive(Nbd.OPT_SET_META_CONTEXT);
    while (reply.type() == Nbd.REP_META_CONTEXT) {
      if (reply.payload().remaining() < 5) {
        throw violation("a metadata context of " + reply.payload().remaining() + " bytes");
      }
      int id = reply.payload().getInt();
      String context = ServerText.name("a metadata context", reply.takeRest());
      if (!contexts.contains(context)
          || idByContext.containsValue(id)
          || idByContext.putIfAbsent(context, id) != null) {
        throw violation(
            "metadata context " + id + " " + context + " (expected: each one asked for, once)");
      }
      reply = receive(Nbd.OPT_SET_META_CONTEXT);
    }
    if (reply.isError()) {
      // Whatever is wrong with the export itself, GO will say it better.
      return Map.of();
    }
    requireAck(Nbd.OPT_SET_META_CONTEXT, reply);
    Map<Integer, String> contextById = new LinkedHashMap<>();
    for (String context : contexts) {
      Integer id = idByContext.get(context);
      if (id != null) {
        contextById.put(id, context);
      }
    }
    return contextById;
  }

  private void go(ExportAnswer answer) throws IOException {
    byte[] name = uri.exportName().getBytes(UTF_8);
    ByteBuffer payload = ByteBuffer.allocate(4 + name.length + 8).putInt(name.length).put(name);
    payload.putShort((short) 3);
    payload.putShort((short) Nbd.INFO_NAME);
    payload.putShort((short) Nbd.INFO_DESCRIPTION);
    payload.putShort((short) Nbd.INFO_BLOCK_SIZE);
    send(Nbd.OPT_GO, payload.flip());
    OptionReply reply = receive(Nbd.OPT_GO);
    while (reply.type() == Nbd.REP_INFO) {
      answer.take(reply);
      reply = receive(Nbd.OPT_GO);
    }
    switch (reply.type()) {
      case Nbd.REP_ACK -> requireAck(Nbd.OPT_GO, reply);
      case Nbd.REP_ERR_UNSUP -> exportName(answer);
      case Nbd.REP_ERR_UNKNOWN -> throw unknownExport(reply);
      default -> {
        if (reply.isError()) {
          throw new IOException("the server does not open the export: " + reply.errorText());
        }
        requireAck(Nbd.OPT_GO, reply);
      }
    }
  }

  private void exportName(ExportAnswer answer) throws IOException {
    send(Nbd.OPT_EXPORT_NAME, ByteBuffer.wrap(uri.exportName().getBytes(UTF_8)));
    try {
      boolean zeroes = (serverFlags & Nbd.FLAG_NO_ZEROES) == 0;
      answer.takeExport(stream.read(zeroes ? 134 : 10));
    } catch (HandshakeStream.HandshakeEndedException e) {
      throw new IOException(
          "the server closed the connection when asked for the export \""
              + uri.exportName()
              + "\"; in this old handshake that means that it has none of that name",
          e);
    }
  }

  /// Tells which exports there are instead, on the same connection.
  private IOException unknownExport(OptionReply reply) {
    String message = "the server has no export \"" + uri.exportName() + "\": " + reply.errorText();
    try {
      List<ListedExport> exports = listExports();
      String names =
          exports.stream()
              .limit(LISTED_NAMES_MAX)
              .map(e -> "\"" + ServerText.forPeople(e.name().getBytes(UTF_8)) + "\"")
              .collect(Collectors.joining(", "));
      String more = exports.size() > LISTED_NAMES_MAX ? ", and more" : "";
      return new IOException(message + "; it lists " + (names.isEmpty() ? "none" : names + more));
    } catch (IOException e) {
      IOException failure = new IOException(message + "; it does not list its exports");
      failure.addSuppressed(e);
      return failure;
    }
  }

  private List<ListedExport> listExports() throws IOException {
    send(Nbd.OPT_LIST, ByteBuffer.allocate(0));
    List<ListedExport> exports = new ArrayList<>();
    OptionReply reply = receive(Nbd.OPT_LIST);
    while (reply.type() == Nbd.REP_SERVER) {
      ByteBuffer payload = reply.payload();
      int nameBytes = payload.remaining() < 4 ? -1 : payload.getInt();
      if (nameBytes < 0 || nameBytes > payload.remaining()) {
        throw violation("an export in its list whose name is longer than the reply");
      }
      String name = ServerText.name("an export name", reply.takeBytes(nameBytes));
      exports.add(new ListedExport(name, ServerText.forPeople(reply.takeRest())));
      reply = receive(Nbd.OPT_LIST);
    }
    if (reply.isError()) {
      throw new IOException("the server does not list its exports: " + reply.errorText());
    }
    requireAck(Nbd.OPT_LIST, reply);
    return exports;
  }

  private void send(int option, ByteBuffer payload) {
    ByteBuffer bytes = ByteBuffer.allocate(16 + payload.remaining());
    bytes.putLong(Nbd.IHAVEOPT).putInt(option).putInt(payload.remaining()).put(payload);
    stream.write(bytes.flip());
  }

  private OptionReply receive(int option) throws IOException {
    ByteBuffer header = stream.read(20);
    long magic = header.getLong();
    if (magic != Nbd.OPTION_REPLY_MAGIC) {
      throw violation("0x" + Long.toHexString(magic) + " (expected: magic of an option reply)");
    }
    int echoed = header.getInt();
    if (echoed != option) {
      throw violation("a reply to option " + echoed + " (expected: to option " + option + ")");
    }
    int type = header.getInt();
    int length = header.getInt();
    if (length < 0 || length > REPLY_BYTES_MAX) {
      throw violation(
          "an option reply of "
              + Integer.toUnsignedString(length)
              + " bytes (expected: <= "
              + REPLY_BYTES_MAX
              + ")");
    }
    OptionReply reply = new OptionReply(type, stream.read(length));
    if (stream.receivedBytes() > HANDSHAKE_BYTES_MAX) {
      throw violation("more than " + HANDSHAKE_BYTES_MAX + " bytes during the handshake");
    }
    if (reply.isError() && length > Nbd.STRING_BYTES_MAX) {
      throw violation("an error text of " + length + " bytes");
    }
    if (type == Nbd.REP_ERR_TLS_REQD) {
      throw new IOException(
          reply.errorText()
              + ", which is not supported by this version; use a Unix socket, or a tunnel");
    }
    if (type == Nbd.REP_ERR_SHUTDOWN) {
      throw new IOException("the server: " + reply.errorText());
    }
    return reply;
  }

  private void requireAck(int option, OptionReply reply) throws ProtocolViolationException {
    if (reply.type() != Nbd.REP_ACK || reply.payload().hasRemaining()) {
      throw violation(
          "reply type "
              + Integer.toUnsignedString(reply.type())
              + " with "
              + reply.payload().remaining()
              + " bytes to option "
              + option
              + " (expected: an empty acknowledgement or an error)");
    }
  }

  private static ProtocolViolationException violation(String whatItSent) {
    return new ProtocolViolationException(whatItSent);
  }
}
