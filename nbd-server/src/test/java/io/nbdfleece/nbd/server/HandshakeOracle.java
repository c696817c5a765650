// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// Follows a handshake on both sides: what the client sent says which answers are due, and what the
/// server answered says what has been agreed.
final class HandshakeOracle {
  private static final int REPLY_BYTES_MAX = 4 + 2 * FuzzSession.STRING_BYTES_MAX;

  private static final int DROPPED_OPTION_BYTES = 1 << 20;

  /// A server may lose patience with a client after that many, not before.
  private static final int OPTIONS_ALWAYS_SERVED = 100;

  /// How requests and replies look from then on.
  enum Format {
    SIMPLE,
    STRUCTURED,
    EXTENDED
  }

  /// What holds in the transmission phase; contexts by their id.
  record Agreed(FuzzExport.Kind kind, Format format, Map<Integer, String> contexts) {}

  private record Answer(int type, Optional<Long> infoSizeBytes, int infoFlags) {}

  private final ByteBuffer sent;
  private final ByteBuffer replies;
  private Format format = Format.SIMPLE;
  private final FuzzSession.Tls tls;
  private boolean fixed;
  private boolean encrypted;
  private String selectedFor = "";
  private Map<Integer, String> selected = Map.of();

  HandshakeOracle(ByteBuffer sent, ByteBuffer replies, FuzzSession.Tls tls) {
    this.tls = tls;
    this.sent = sent;
    this.replies = replies;
  }

  /// Empty when the session ends before the transmission phase.
  Optional<Agreed> judge(FuzzSession.Leaving leaving) {
    try {
      return judge();
    } catch (FuzzSession.RepliesEnd end) {
      if (leaving == FuzzSession.Leaving.POLITE && !isDroppedLater()) {
        throw end;
      }
      replies.position(replies.limit());
      return Optional.empty();
    }
  }

  /// Whether an offence follows, for which the client is dropped, unsent answers included.
  private boolean isDroppedLater() {
    while (sent.remaining() >= 16) {
      if (sent.getLong() != Nbd.IHAVEOPT) {
        return true;
      }
      int option = sent.getInt();
      long length = Integer.toUnsignedLong(sent.getInt());
      boolean startsTls = option == Nbd.OPT_STARTTLS && tls == FuzzSession.Tls.OFFERED;
      if (option == Nbd.OPT_EXPORT_NAME || startsTls || length > DROPPED_OPTION_BYTES) {
        return true;
      }
      sent.position((int) Math.min(sent.limit(), sent.position() + length));
    }
    return false;
  }

  private Optional<Agreed> judge() {
    FuzzSession.need(replies, 18, "greeting");
    assertEquals(0x4e42444d41474943L, replies.getLong());
    assertEquals(0x49484156454f5054L, replies.getLong());
    assertEquals(3, replies.getShort());
    if (sent.remaining() < 4) {
      return Optional.empty();
    }
    int flags = sent.getInt();
    if ((flags & ~3) != 0) {
      return Optional.empty();
    }
    fixed = (flags & 1) != 0;
    int zeroes = (flags & 2) == 0 ? 124 : 0;
    for (int count = 1; sent.remaining() >= 16 && sent.getLong() == Nbd.IHAVEOPT; count++) {
      int option = sent.getInt();
      long length = Integer.toUnsignedLong(sent.getInt());
      if (length > sent.remaining() || (count > OPTIONS_ALWAYS_SERVED && !replies.hasRemaining())) {
        return Optional.empty();
      }
      ByteBuffer payload = FuzzSession.slice(sent, (int) length);
      if (option == Nbd.OPT_EXPORT_NAME) {
        return exportName(payload, zeroes);
      }
      Optional<String> opened = option(option, payload);
      if (opened.isPresent()) {
        return Optional.of(agreed(opened.get()));
      }
      if (option == Nbd.OPT_ABORT || encrypted) {
        return Optional.empty();
      }
    }
    return Optional.empty();
  }

  private static Optional<FuzzExport.Kind> kind(String name) {
    return Optional.ofNullable(FuzzCatalog.KINDS.get(name.isEmpty() ? "disk" : name));
  }

  private Agreed agreed(String name) {
    Map<Integer, String> contexts = selectedFor.equals(name) ? selected : Map.of();
    return new Agreed(kind(name).orElseThrow(), format, contexts);
  }

  private Optional<Agreed> exportName(ByteBuffer payload, int zeroes) {
    Optional<String> name = FuzzSession.text(payload);
    Optional<FuzzExport.Kind> kind = name.flatMap(HandshakeOracle::kind);
    boolean refusable = kind.isEmpty() || format == Format.EXTENDED;
    if (refusable && !replies.hasRemaining()) {
      return Optional.empty();
    }
    assertTrue(kind.isPresent(), "an export that is not there");
    FuzzSession.need(replies, 10 + zeroes, "answer to EXPORT_NAME");
    assertEquals(kind.get().sizeBytes, replies.getLong());
    checkFlags(kind.get(), replies.getShort());
    for (int index = 0; index < zeroes; index++) {
      assertEquals(0, replies.get());
    }
    return Optional.of(agreed(name.get()));
  }

  private void checkFlags(FuzzExport.Kind kind, int flags) {
    assertEquals(1, flags & 1, "HAS_FLAGS");
    assertEquals(kind == FuzzExport.Kind.READ_ONLY, (flags & Nbd.FLAG_READ_ONLY) != 0);
    assertEquals(format != Format.SIMPLE, (flags & Nbd.FLAG_SEND_DF) != 0);
  }

  /// The name of the export when the option opened it.
  private Optional<String> option(int option, ByteBuffer payload) {
    if (!fixed && option != Nbd.OPT_ABORT) {
      assertTrue(isError(answer(option).type()), "not fixed newstyle");
      return Optional.empty();
    }
    switch (option) {
      case Nbd.OPT_ABORT -> assertEquals(Nbd.REP_ACK, answer(option).type());
      case Nbd.OPT_LIST ->
          assertEquals(payload.hasRemaining(), isError(answer(option).type()), "LIST");
      case Nbd.OPT_STARTTLS -> startTls(payload);
      case Nbd.OPT_INFO, Nbd.OPT_GO -> {
        return go(option, payload);
      }
      case Nbd.OPT_STRUCTURED_REPLY -> {
        boolean agreed = !isError(answer(option).type());
        assertFalse(agreed && payload.hasRemaining(), "STRUCTURED_REPLY with data");
        if (format != Format.EXTENDED) {
          assertEquals(agreed, !payload.hasRemaining(), "STRUCTURED_REPLY");
          format = agreed ? Format.STRUCTURED : format;
        }
      }
      case FuzzWire.OPT_EXTENDED_HEADERS -> {
        boolean agreed = !isError(answer(option).type());
        assertFalse(agreed && payload.hasRemaining(), "EXTENDED_HEADERS with data");
        format = agreed ? Format.EXTENDED : format;
      }
      case Nbd.OPT_LIST_META_CONTEXT -> answer(option);
      case Nbd.OPT_SET_META_CONTEXT -> {
        selected = Map.of();
        Map<Integer, String> contexts = new LinkedHashMap<>();
        if (!isError(answer(option, contexts).type())) {
          assertTrue(format != Format.SIMPLE, "SET_META_CONTEXT before structured replies");
          selectedFor = FuzzSession.text(payload.slice(4, payload.getInt(0))).orElseThrow();
          selected = contexts;
        }
      }
      default -> assertEquals(Nbd.REP_ERR_UNSUP, answer(option).type(), "unknown option");
    }
    return Optional.empty();
  }

  /// What follows an acknowledgement is encrypted. Where TLS is offered, plain text behind the
  /// option ends the connection without an answer.
  private void startTls(ByteBuffer payload) {
    encrypted =
        tls == FuzzSession.Tls.OFFERED
            && !payload.hasRemaining()
            && (!replies.hasRemaining() || !isError(answer(Nbd.OPT_STARTTLS).type()));
    if (encrypted) {
      replies.position(replies.limit());
    } else {
      assertTrue(isError(answer(Nbd.OPT_STARTTLS).type()), "STARTTLS");
    }
  }

  private Optional<String> go(int option, ByteBuffer payload) {
    Optional<String> name = Optional.empty();
    if (payload.remaining() >= 6) {
      long nameBytes = Integer.toUnsignedLong(payload.getInt(0));
      if (nameBytes <= payload.remaining() - 6
          && payload.remaining()
              == 6 + nameBytes + 2L * (payload.getShort(4 + (int) nameBytes) & 0xffff)) {
        name = FuzzSession.text(payload.slice(4, (int) nameBytes));
      }
    }
    Optional<FuzzExport.Kind> kind = name.flatMap(HandshakeOracle::kind);
    Answer answer = answer(option);
    assertEquals(kind.isPresent(), !isError(answer.type()), () -> "GO: " + answer);
    if (kind.isPresent()) {
      assertEquals(Optional.of(kind.get().sizeBytes), answer.infoSizeBytes());
      checkFlags(kind.get(), answer.infoFlags());
    } else if (name.isPresent()) {
      assertEquals(Nbd.REP_ERR_UNKNOWN, answer.type());
    }
    return option == Nbd.OPT_GO && kind.isPresent() ? name : Optional.empty();
  }

  private static boolean isError(int type) {
    return type < 0;
  }

  private Answer answer(int option) {
    return answer(option, new LinkedHashMap<>());
  }

  /// Reads replies up to the final one.
  private Answer answer(int option, Map<Integer, String> contexts) {
    Optional<Long> sizeBytes = Optional.empty();
    int flags = 0;
    while (true) {
      FuzzSession.need(replies, 20, "answer to option " + option);
      assertEquals(Nbd.OPTION_REPLY_MAGIC, replies.getLong());
      assertEquals(option, replies.getInt());
      int type = replies.getInt();
      int length = replies.getInt();
      assertTrue(length >= 0 && length <= REPLY_BYTES_MAX, "length of an option reply");
      FuzzSession.need(replies, length, "data of an option reply");
      ByteBuffer data = FuzzSession.slice(replies, length);
      if (isError(type)) {
        assertTrue(FuzzSession.text(data).isPresent(), "error text");
        return new Answer(type, sizeBytes, flags);
      }
      switch (type) {
        case Nbd.REP_ACK -> {
          assertEquals(0, length, "data in an acknowledgement");
          return new Answer(type, sizeBytes, flags);
        }
        case Nbd.REP_SERVER -> assertEquals(Nbd.OPT_LIST, option);
        case Nbd.REP_INFO -> {
          assertTrue(option == Nbd.OPT_INFO || option == Nbd.OPT_GO, "INFO");
          if (data.getShort(0) == Nbd.INFO_EXPORT) {
            assertEquals(12, length);
            sizeBytes = Optional.of(data.getLong(2));
            flags = data.getShort(10);
          }
        }
        case Nbd.REP_META_CONTEXT -> {
          assertTrue(
              option == Nbd.OPT_LIST_META_CONTEXT || option == Nbd.OPT_SET_META_CONTEXT, "META");
          String context = FuzzSession.text(data.position(4).slice()).orElseThrow();
          String before = contexts.put(data.getInt(0), context);
          assertTrue(option != Nbd.OPT_SET_META_CONTEXT || before == null, "id used twice");
        }
        default -> throw new AssertionError("option reply of type " + type);
      }
    }
  }
}
