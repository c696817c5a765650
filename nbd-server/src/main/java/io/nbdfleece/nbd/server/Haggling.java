// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.tls.TlsEndpoint;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.OptionReply;
import io.nbdfleece.nbd.wire.WireText;
import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// The handshake: greeting, client flags, options (NBD specification, "Fixed newstyle
/// negotiation"). One file per option answers it; this one reads them and holds what was agreed.
///
/// ```
///   CLIENT_FLAGS ─▶ OPTION ─▶ (answered) ─▶ OPTION …  ─▶ Transmission
///                     ├─▶ SKIPPING ─▶ OPTION           too long, or unknown
///                     └─▶ TLS_HANDSHAKE ─▶ OPTION      after NBD_OPT_STARTTLS, nothing agreed
/// ```
final class Haggling implements Phase {
  private static final int OPTION_HEADER_BYTES = 16;
  private static final String TLS_FIRST = "this server requires TLS: NBD_OPT_STARTTLS comes first";

  private enum State {
    CLIENT_FLAGS,
    OPTION,
    SKIPPING,
    TLS_HANDSHAKE
  }

  /// What NBD_OPT_SET_META_CONTEXT chose, for which export.
  record MetaSelection(String exportName, List<String> contexts) {
    static final MetaSelection NONE = new MetaSelection("", List.of());
  }

  private final Connection connection;
  private final ChannelHandlerContext ctx;
  private final Future<?> deadline;
  private State state = State.CLIENT_FLAGS;
  private boolean fixedNewstyle;
  private boolean zeroesWanted = true;
  private boolean structuredReplies;
  private boolean extendedHeaders;
  private MetaSelection metaSelection = MetaSelection.NONE;
  private int optionCount;
  private long optionBytes;
  private int skippedOption;
  private int skipBytes;
  private int skipVerdict;
  private String skipText = "";
  private @Nullable ByteBuf out;
  private int longestAnswerBytes;

  Haggling(Connection connection, ChannelHandlerContext ctx) {
    this.connection = connection;
    this.ctx = ctx;
    long nanos = connection.server().limits().handshakeDeadline().toNanos();
    this.deadline =
        ctx.executor()
            .schedule(
                () -> connection.drop("handshake not finished in time"),
                nanos,
                TimeUnit.NANOSECONDS);
  }

  void greet() {
    out()
        .writeLong(Nbd.NBDMAGIC)
        .writeLong(Nbd.IHAVEOPT)
        .writeShort(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES);
    flush();
  }

  @Override
  public void consume() {
    while (step(connection.input().unread())) {
      if (!ctx.channel().isWritable()) {
        // Asks without reading the answers.
        connection.pause();
        return;
      }
    }
  }

  /// Whether to look for more in the input.
  private boolean step(ByteBuf in) {
    return switch (state) {
      case CLIENT_FLAGS -> clientFlags(in);
      case OPTION -> option(in);
      case SKIPPING -> skip(in);
      case TLS_HANDSHAKE -> false;
    };
  }

  private boolean clientFlags(ByteBuf in) {
    if (in.readableBytes() < 4) {
      return false;
    }
    int flags = in.readInt();
    if ((flags & ~(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES)) != 0) {
      connection.drop("client flags: 0x" + Integer.toHexString(flags) + " (expected: 0 to 3)");
      return false;
    }
    fixedNewstyle = (flags & Nbd.FLAG_FIXED_NEWSTYLE) != 0;
    zeroesWanted = (flags & Nbd.FLAG_NO_ZEROES) == 0;
    state = State.OPTION;
    connection.server().handshakes().progress(connection);
    return true;
  }

  private boolean option(ByteBuf in) {
    if (in.readableBytes() < OPTION_HEADER_BYTES) {
      return false;
    }
    int start = in.readerIndex();
    if (in.getLong(start) != Nbd.IHAVEOPT) {
      connection.drop("option magic: 0x" + Long.toHexString(in.getLong(start)));
      return false;
    }
    int option = in.getInt(start + 8);
    int lengthBytes = in.getInt(start + 12);
    if (lengthBytes < 0 || lengthBytes > WireLimits.DISCARDED_OPTION_BYTES_MAX) {
      connection.drop("option length: " + Integer.toUnsignedString(lengthBytes) + " bytes");
      return false;
    }
    boolean known = isKnown(option);
    if (!known || lengthBytes > WireLimits.OPTION_BYTES_MAX) {
      in.skipBytes(OPTION_HEADER_BYTES);
      return countOption(lengthBytes) && beginSkip(option, lengthBytes, known);
    }
    if (in.readableBytes() - OPTION_HEADER_BYTES < lengthBytes) {
      connection.input().need(OPTION_HEADER_BYTES + lengthBytes);
      return false;
    }
    in.skipBytes(OPTION_HEADER_BYTES);
    return countOption(lengthBytes) && answer(option, in.readSlice(lengthBytes));
  }

  private boolean countOption(int lengthBytes) {
    connection.server().handshakes().progress(connection);
    optionBytes += lengthBytes;
    if (optionBytes > WireLimits.OPTIONS_BYTES_MAX) {
      connection.drop("options: more than " + (WireLimits.OPTIONS_BYTES_MAX >> 20) + " MiB");
      return false;
    }
    optionCount++;
    int optionsMax = connection.server().limits().optionsMax();
    if (optionCount > optionsMax) {
      long exportCount = names().size();
      if (optionCount - optionsMax > exportCount * WireLimits.OPTIONS_PER_EXPORT_MAX) {
        connection.drop("options: more than " + (optionCount - 1));
        return false;
      }
    }
    return true;
  }

  private boolean beginSkip(int option, int lengthBytes, boolean known) {
    if (option == Nbd.OPT_EXPORT_NAME) {
      connection.drop("export name: " + lengthBytes + " bytes (expected: at most 4096)");
      return false;
    }
    skippedOption = option;
    skipBytes = lengthBytes;
    if (lacksTls()) {
      skipVerdict = Nbd.REP_ERR_TLS_REQD;
      skipText = TLS_FIRST;
    } else {
      skipVerdict = known ? Nbd.REP_ERR_TOO_BIG : Nbd.REP_ERR_UNSUP;
      skipText =
          known
              ? "option too long: " + lengthBytes + " bytes"
              : "option " + Integer.toUnsignedString(option) + " is not supported";
    }
    state = State.SKIPPING;
    return true;
  }

  private boolean skip(ByteBuf in) {
    int now = Math.min(skipBytes, in.readableBytes());
    in.skipBytes(now);
    skipBytes -= now;
    if (skipBytes > 0) {
      return false;
    }
    state = State.OPTION;
    if (connection.server().isClosing()) {
      shuttingDown(skippedOption);
    } else {
      if (skippedOption == Nbd.OPT_SET_META_CONTEXT) {
        selectMeta(MetaSelection.NONE);
      }
      error(skippedOption, skipVerdict, skipText);
    }
    return true;
  }

  private static boolean isKnown(int option) {
    return switch (option) {
      case Nbd.OPT_EXPORT_NAME,
          Nbd.OPT_ABORT,
          Nbd.OPT_LIST,
          Nbd.OPT_STARTTLS,
          Nbd.OPT_INFO,
          Nbd.OPT_GO,
          Nbd.OPT_STRUCTURED_REPLY,
          Nbd.OPT_LIST_META_CONTEXT,
          Nbd.OPT_SET_META_CONTEXT,
          Nbd.OPT_EXTENDED_HEADERS ->
          true;
      default -> false;
    };
  }

  private boolean answer(int option, ByteBuf payload) {
    if (connection.server().isClosing() && option != Nbd.OPT_ABORT) {
      shuttingDown(option);
      return option != Nbd.OPT_EXPORT_NAME;
    }
    if (!fixedNewstyle && option != Nbd.OPT_EXPORT_NAME && option != Nbd.OPT_ABORT) {
      error(option, Nbd.REP_ERR_INVALID, "only NBD_OPT_EXPORT_NAME without fixed newstyle");
      return true;
    }
    if (lacksTls() && option != Nbd.OPT_STARTTLS && option != Nbd.OPT_ABORT) {
      if (option == Nbd.OPT_EXPORT_NAME) {
        connection.drop("opens an export without TLS, which this server requires");
        return false;
      }
      error(option, Nbd.REP_ERR_TLS_REQD, TLS_FIRST);
      return true;
    }
    return switch (option) {
      case Nbd.OPT_EXPORT_NAME -> OptionExportName.answer(this, payload);
      case Nbd.OPT_ABORT -> OptionAbort.answer(this);
      case Nbd.OPT_LIST -> OptionList.answer(this, payload);
      case Nbd.OPT_STARTTLS -> OptionStartTls.answer(this, payload);
      case Nbd.OPT_INFO, Nbd.OPT_GO -> OptionGo.answer(this, option, payload);
      case Nbd.OPT_STRUCTURED_REPLY -> OptionStructuredReply.answer(this, payload);
      case Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT ->
          OptionMetaContext.answer(this, option, payload);
      case Nbd.OPT_EXTENDED_HEADERS -> OptionExtendedHeaders.answer(this, payload);
      default -> throw new IllegalStateException("option: " + option + " (expected: a known one)");
    };
  }

  /// Whether the client can do nothing yet (FORCEDTLS mode before NBD_OPT_STARTTLS).
  private boolean lacksTls() {
    return connection.server().requiresTls() && !isEncrypted();
  }

  boolean isEncrypted() {
    return connection.identity().isEncrypted();
  }

  /// NBD_OPT_STARTTLS: acknowledges in plain text; then everything agreed is forgotten, since
  /// somebody in between may have agreed it, and all that follows is encrypted.
  void startTls(TlsEndpoint endpoint) {
    ack(Nbd.OPT_STARTTLS);
    flush();
    structuredReplies = false;
    extendedHeaders = false;
    metaSelection = MetaSelection.NONE;
    state = State.TLS_HANDSHAKE;
    connection.encrypt(endpoint, this);
  }

  /// The TLS handshake is over.
  void encrypted() {
    connection.server().handshakes().progress(connection);
    state = State.OPTION;
  }

  private void shuttingDown(int option) {
    if (option == Nbd.OPT_EXPORT_NAME) {
      connection.drop("the server is shutting down");
    } else {
      error(option, Nbd.REP_ERR_SHUTDOWN, "the server is shutting down");
    }
  }

  /// Where the answer goes; sent at the end of the turn.
  ByteBuf out() {
    ByteBuf current = out;
    if (current == null) {
      current = ctx.alloc().directBuffer(512);
      out = current;
    }
    return current;
  }

  void ack(int option) {
    OptionReply.ack(out(), option);
    push();
  }

  void error(int option, int type, String text) {
    OptionReply.error(out(), option, type, text);
    push();
  }

  /// Hands the answers over, without sending them yet, so that their amount can be seen.
  private void push() {
    ByteBuf current = out;
    if (current != null) {
      out = null;
      longestAnswerBytes = Math.max(longestAnswerBytes, current.readableBytes());
      ctx.write(current).addListener(Replies.LOG_FAILURE);
    }
  }

  /// The error for a name that [WireText#read] refused.
  void badText(int option) {
    error(option, Nbd.REP_ERR_INVALID, "string: not UTF-8, holds NUL, or is over 4096 bytes");
  }

  /// The export, if this client may open it.
  Optional<Export> find(String name) {
    ExportCatalog catalog = connection.server().catalog();
    return !isEncrypted() && catalog.needsTls(name)
        ? Optional.empty()
        : catalog.find(name, connection.identity());
  }

  /// The name in the listing of an export that [#find] has found.
  String canonicalName(String name) {
    return connection.server().catalog().canonicalName(name, connection.identity());
  }

  /// The error of NBD_OPT_GO and NBD_OPT_INFO for a name that [#find] does not find.
  void noExport(int option, String name) {
    if (!isEncrypted()
        && connection.server().endpoint().isPresent()
        && connection.server().catalog().needsTls(name)) {
      error(option, Nbd.REP_ERR_TLS_REQD, "this export needs TLS");
    } else {
      error(option, Nbd.REP_ERR_UNKNOWN, "no export named " + WireText.quoted(name));
    }
  }

  /// What this client may see.
  List<String> names() {
    return connection.server().catalog().names(connection.identity());
  }

  Connection connection() {
    return connection;
  }

  boolean zeroesWanted() {
    return zeroesWanted;
  }

  /// Also when they come with extended headers.
  boolean structuredReplies() {
    return structuredReplies || extendedHeaders;
  }

  void agreeStructuredReplies() {
    structuredReplies = true;
  }

  boolean extendedHeaders() {
    return extendedHeaders;
  }

  void agreeExtendedHeaders() {
    extendedHeaders = true;
  }

  /// The metadata contexts that are selected for that export.
  List<String> selectedMeta(String name) {
    return metaSelection.exportName().equals(name) ? metaSelection.contexts() : List.of();
  }

  void selectMeta(MetaSelection selection) {
    metaSelection = selection;
  }

  /// The export is open: requests come next. Always returns false, since no option follows.
  boolean open(String name, Export export) {
    if (!deadline.cancel(false)) {
      // It has fired: the connection is being closed.
      return false;
    }
    connection.server().handshakes().end(connection);
    HeaderStyle style = HeaderStyle.of(structuredReplies, extendedHeaders);
    connection.input().expectRequests();
    List<String> contexts = selectedMeta(name);
    connection.runOn(
        connection.server().loopOf(ctx.channel(), export.info()),
        () -> {
          connection.enter(
              Transmission.open(connection, ctx, new CheckedExport(export), style, contexts));
          flush(); // not before: who has the answer is a client of the export
        });
    return false;
  }

  @Override
  public void flush() {
    push();
    ctx.flush();
  }

  @Override
  public boolean mayContinue() {
    return ctx.channel().isWritable();
  }

  @Override
  public long answerBytes() {
    // No option is looked at while the channel is not writable.
    return (long) ctx.channel().config().getWriteBufferHighWaterMark() + longestAnswerBytes;
  }

  @Override
  public void inputEnded() {
    if (state == State.TLS_HANDSHAKE) {
      // Nothing can be sent before its end, which will not come.
      connection.close();
    } else {
      connection.closeWhenSent();
    }
  }

  @Override
  public void shutDown() {
    // A client gets its ERR_SHUTDOWN if it asks in time; the server waits no longer than its drain.
  }

  @Override
  public void lost() {
    deadline.cancel(false);
    ByteBuf unsent = out;
    out = null;
    if (unsent != null) {
      unsent.release();
    }
    connection.end();
  }
}
