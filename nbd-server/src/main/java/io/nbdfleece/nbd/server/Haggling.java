// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.OptionReply;
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
///                     └─▶ SKIPPING ─▶ OPTION           too long, or unknown
/// ```
final class Haggling implements Phase {
  private static final int OPTION_HEADER_BYTES = 16;

  private enum State {
    CLIENT_FLAGS,
    OPTION,
    SKIPPING
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
  private int skippedOption;
  private int skipBytes;
  private int skipVerdict;
  private String skipText = "";
  private @Nullable ByteBuf out;

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
      return countOption() && beginSkip(option, lengthBytes, known);
    }
    if (in.readableBytes() - OPTION_HEADER_BYTES < lengthBytes) {
      connection.input().need(OPTION_HEADER_BYTES + lengthBytes);
      return false;
    }
    in.skipBytes(OPTION_HEADER_BYTES);
    return countOption() && answer(option, in.readSlice(lengthBytes));
  }

  private boolean countOption() {
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
    skipVerdict = known ? Nbd.REP_ERR_TOO_BIG : Nbd.REP_ERR_UNSUP;
    skipText =
        known
            ? "option too long: " + lengthBytes + " bytes"
            : "option " + Integer.toUnsignedString(option) + " is not supported";
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
      ctx.write(current).addListener(Replies.LOG_FAILURE);
    }
  }

  /// The error for a name that [WireText#read] refused.
  void badText(int option) {
    error(option, Nbd.REP_ERR_INVALID, "string: not UTF-8, holds NUL, or is over 4096 bytes");
  }

  /// The export, if this client may open it.
  Optional<Export> find(String name) {
    return connection.server().catalog().find(name, ClientIdentity.UNKNOWN);
  }

  /// What this client may see.
  List<String> names() {
    return connection.server().catalog().names(ClientIdentity.UNKNOWN);
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
    flush();
    HeaderStyle style = HeaderStyle.of(structuredReplies, extendedHeaders);
    connection.input().expectRequests();
    connection.enter(
        Transmission.open(connection, ctx, new CheckedExport(export), style, selectedMeta(name)));
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
  public void inputEnded() {
    connection.closeWhenSent();
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
