// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions.ExtendedHeaders;
import io.nbdfleece.nbd.client.NbdClient.ListedExport;
import io.nbdfleece.nbd.tls.TlsEndpoint;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/// The client's side of the handshake (NBD specification, "Handshake phase"), one method for each
/// step. Used once, by the thread that connects. Messages of its exceptions do not name the URI:
/// [Dialer] puts it in front.
///
/// ```
///   greeting ─▶ STARTTLS ─▶ EXTENDED_HEADERS ─▶ … META_CONTEXT ─▶ GO ─▶ transmission
///      │        if nbds:       │ not known         ▲          not │
///      │                       └▶ STRUCTURED_REPLY ┘        known │
///      └─▶ EXPORT_NAME ◀──────────────────────────────────────────┘
///     not fixed newstyle
/// ```
///
/// TLS comes before anything is negotiated, so there is no state from before that could outlive it
/// (NBD specification, "TLS support"); a server that does not do TLS is left at once.
final class Negotiation {
  private static final int LISTED_NAMES_MAX = 5;
  private static final String PLAIN_HINT =
      "; start it with TLS, or write nbd instead of nbds if the way to it is safe";
  private static final long OLDSTYLE_MAGIC = 0x420281861253L;

  private final HandshakeStream stream;
  private final OptionExchange options;
  private final NbdUri uri;
  private final Optional<TlsEndpoint> endpoint;
  private int serverFlags;
  private Optional<String> tlsProtocol = Optional.empty();

  /// @param endpoint there if, and only if, the URI asks for TLS
  Negotiation(HandshakeStream stream, NbdUri uri, Optional<TlsEndpoint> endpoint) {
    this.stream = stream;
    this.options = new OptionExchange(stream);
    this.uri = uri;
    this.endpoint = endpoint;
  }

  /// Opens the export of the URI.
  Negotiated open(List<String> contexts, ExtendedHeaders extendedHeaders) throws IOException {
    greeting();
    ExportAnswer answer = new ExportAnswer(uri.exportName());
    if (!isFixedNewstyle()) {
      exportName(answer);
      return answer.negotiated(Negotiated.Replies.SIMPLE, Map.of(), tlsProtocol);
    }
    Negotiated.Replies replies = replies(extendedHeaders);
    Map<Integer, String> contextById = Map.of();
    if (replies != Negotiated.Replies.SIMPLE && !contexts.isEmpty()) {
      contextById = new ContextHaggling(options, uri.exportName()).select(contexts);
    }
    go(answer, replies == Negotiated.Replies.EXTENDED);
    return answer.negotiated(replies, contextById, tlsProtocol);
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

  /// NBD_OPT_LIST_META_CONTEXT for the export of the URI.
  List<String> listContexts() throws IOException {
    greeting();
    if (!isFixedNewstyle() || replies(ExtendedHeaders.NEVER) == Negotiated.Replies.SIMPLE) {
      return List.of();
    }
    List<String> contexts = new ContextHaggling(options, uri.exportName()).list();
    abort();
    return contexts;
  }

  /// NBD_OPT_ABORT, without awaiting the answer.
  private void abort() {
    options.send(Nbd.OPT_ABORT, ByteBuffer.allocate(0));
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
    if (endpoint.isPresent()) {
      startTls(endpoint.get());
    }
  }

  /// NBD_OPT_STARTTLS. Whoever asked for TLS gets it, or nothing: every way out of here that is not
  /// encrypted is an exception.
  private void startTls(TlsEndpoint own) throws IOException {
    if (!isFixedNewstyle()) {
      throw new IOException(
          "the server speaks a handshake too old for TLS, which the URI demands" + PLAIN_HINT);
    }
    options.send(Nbd.OPT_STARTTLS, ByteBuffer.allocate(0));
    OptionReply reply = options.receive(Nbd.OPT_STARTTLS);
    if (reply.isError()) {
      throw new IOException(
          "the server does not do TLS, which the URI demands: " + reply.errorText() + PLAIN_HINT);
    }
    options.requireAck(Nbd.OPT_STARTTLS, reply);
    tlsProtocol = Optional.of(stream.encrypt(own).protocol());
    options.encrypted();
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

  private Negotiated.Replies replies(ExtendedHeaders extendedHeaders) throws IOException {
    boolean extended =
        switch (extendedHeaders) {
          case IF_OFFERED -> options.isAcknowledged(Nbd.OPT_EXTENDED_HEADERS);
          case NEVER -> false;
        };
    if (extended) {
      return Negotiated.Replies.EXTENDED;
    }
    return options.isAcknowledged(Nbd.OPT_STRUCTURED_REPLY)
        ? Negotiated.Replies.STRUCTURED
        : Negotiated.Replies.SIMPLE;
  }

  private void go(ExportAnswer answer, boolean extended) throws IOException {
    byte[] name = uri.exportName().getBytes(UTF_8);
    ByteBuffer payload = ByteBuffer.allocate(4 + name.length + 8).putInt(name.length).put(name);
    payload.putShort((short) 3);
    payload.putShort((short) Nbd.INFO_NAME);
    payload.putShort((short) Nbd.INFO_DESCRIPTION);
    payload.putShort((short) Nbd.INFO_BLOCK_SIZE);
    options.send(Nbd.OPT_GO, payload.flip());
    OptionReply reply = options.receive(Nbd.OPT_GO);
    while (reply.type() == Nbd.REP_INFO) {
      answer.take(reply);
      reply = options.receive(Nbd.OPT_GO);
    }
    switch (reply.type()) {
      case Nbd.REP_ACK -> options.requireAck(Nbd.OPT_GO, reply);
      case Nbd.REP_ERR_UNSUP -> {
        if (extended) {
          throw violation("that it does not know GO, which goes with extended headers");
        }
        exportName(answer);
      }
      case Nbd.REP_ERR_UNKNOWN -> throw unknownExport(reply);
      default -> {
        if (reply.isError()) {
          throw new IOException("the server does not open the export: " + reply.errorText());
        }
        options.requireAck(Nbd.OPT_GO, reply);
      }
    }
  }

  private void exportName(ExportAnswer answer) throws IOException {
    options.send(Nbd.OPT_EXPORT_NAME, ByteBuffer.wrap(uri.exportName().getBytes(UTF_8)));
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
    String message = "the server has no export \"" + uri.exportName() + "\"" + reply.serverText();
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
    options.send(Nbd.OPT_LIST, ByteBuffer.allocate(0));
    List<ListedExport> exports = new ArrayList<>();
    OptionReply reply = options.receive(Nbd.OPT_LIST);
    while (reply.type() == Nbd.REP_SERVER) {
      ByteBuffer payload = reply.payload();
      int nameBytes = payload.remaining() < 4 ? -1 : payload.getInt();
      if (nameBytes < 0 || nameBytes > payload.remaining()) {
        throw violation("an export in its list whose name is longer than the reply");
      }
      String name = ServerText.name("an export name", reply.takeBytes(nameBytes));
      exports.add(new ListedExport(name, ServerText.forPeople(reply.takeRest())));
      reply = options.receive(Nbd.OPT_LIST);
    }
    if (reply.isError()) {
      throw new IOException("the server does not list its exports: " + reply.errorText());
    }
    options.requireAck(Nbd.OPT_LIST, reply);
    return exports;
  }

  private static ProtocolViolationException violation(String whatItSent) {
    return new ProtocolViolationException(whatItSent);
  }
}
