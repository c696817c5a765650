// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Gathers what the server says of an export while it opens it (NBD specification, "NBD_OPT_GO",
/// "Block size constraints"), and checks it.
final class ExportAnswer {
  /// What the specification lets a client assume of a server that says nothing.
  private static final int DEFAULT_PREFERRED_BYTES = 4096;

  private static final int DEFAULT_MAXIMUM_BYTES = 32 << 20;

  /// This client's own limit, whatever the server allows.
  private static final int REQUEST_BYTES_MAX = 64 << 20;

  /// What [ExportInfo] allows.
  private static final int PREFERRED_BYTES_MAX = 32 << 20;

  private final String asked;
  private boolean opened;
  private long sizeBytes;
  private int flags;
  private String canonicalName;
  private String description = "";
  private boolean blockSizesSent;
  private int minimumBytes = 1;
  private int preferredBytes = DEFAULT_PREFERRED_BYTES;
  private long maximumBytes = DEFAULT_MAXIMUM_BYTES;

  ExportAnswer(String asked) {
    this.asked = asked;
    this.canonicalName = asked;
  }

  /// One NBD_REP_INFO. Unknown information is skipped, as the specification asks.
  void take(OptionReply reply) throws ProtocolViolationException {
    ByteBuffer payload = reply.payload();
    if (payload.remaining() < 2) {
      throw new ProtocolViolationException("information without a type");
    }
    int type = Short.toUnsignedInt(payload.getShort());
    switch (type) {
      case Nbd.INFO_EXPORT -> {
        requireLength(type, payload, 10);
        takeExport(payload);
      }
      case Nbd.INFO_NAME -> canonicalName = ServerText.name("an export name", reply.takeRest());
      case Nbd.INFO_DESCRIPTION -> {
        if (payload.remaining() > Nbd.STRING_BYTES_MAX) {
          throw new ProtocolViolationException(
              "a description of " + payload.remaining() + " bytes");
        }
        description = ServerText.forPeople(reply.takeRest());
      }
      case Nbd.INFO_BLOCK_SIZE -> {
        requireLength(type, payload, 12);
        takeBlockSizes(payload.getInt(), payload.getInt(), payload.getInt());
      }
      default -> {}
    }
  }

  /// Size and transmission flags, in NBD_INFO_EXPORT or as the answer to NBD_OPT_EXPORT_NAME.
  void takeExport(ByteBuffer bytes) throws ProtocolViolationException {
    sizeBytes = bytes.getLong();
    flags = Short.toUnsignedInt(bytes.getShort());
    if (sizeBytes < 0) {
      throw new ProtocolViolationException(
          "an export of " + Long.toUnsignedString(sizeBytes) + " bytes (expected: < 2^63)");
    }
    if (!has(Nbd.FLAG_HAS_FLAGS)) {
      throw new ProtocolViolationException(
          "transmission flags 0x" + Integer.toHexString(flags) + " (expected: bit 0 set)");
    }
    opened = true;
  }

  private void takeBlockSizes(int minimum, int preferred, int maximum)
      throws ProtocolViolationException {
    long max = Integer.toUnsignedLong(maximum);
    if (!isPowerOfTwo(minimum)
        || minimum > 65536
        || !isPowerOfTwo(preferred)
        || preferred < Math.max(minimum, 512)
        || max < minimum) {
      throw new ProtocolViolationException(
          "block sizes minimum="
              + Integer.toUnsignedString(minimum)
              + " preferred="
              + Integer.toUnsignedString(preferred)
              + " maximum="
              + max
              + " (expected: powers of two, minimum <= 65536, preferred >= 512, maximum not less)");
    }
    blockSizesSent = true;
    minimumBytes = minimum;
    preferredBytes = preferred;
    maximumBytes = max;
  }

  private static boolean isPowerOfTwo(int bytes) {
    return bytes > 0 && Integer.bitCount(bytes) == 1;
  }

  private static void requireLength(int type, ByteBuffer payload, int length)
      throws ProtocolViolationException {
    if (payload.remaining() != length) {
      throw new ProtocolViolationException(
          "information "
              + type
              + " of "
              + (payload.remaining() + 2)
              + " bytes (expected: "
              + (length + 2)
              + ")");
    }
  }

  /// The result. Throws if the server acknowledged without saying size and flags.
  Negotiated negotiated(
      Negotiated.Replies replies, Map<Integer, String> contextById, Optional<String> tlsProtocol)
      throws ProtocolViolationException {
    if (!opened) {
      throw new ProtocolViolationException(
          "an acknowledgement without size and flags of the export \"" + asked + "\"");
    }
    ExportInfo info =
        new ExportInfo(
            sizeBytes,
            description,
            abilities(),
            sizeBytes % minimumBytes == 0 ? minimumBytes : 1,
            Math.min(preferredBytes, PREFERRED_BYTES_MAX),
            List.copyOf(contextById.values()));
    int maximumRequestBytes =
        Math.toIntExact(Math.min(maximumBytes, REQUEST_BYTES_MAX) / minimumBytes * minimumBytes);
    NegotiatedExport export =
        new NegotiatedExport(
            canonicalName,
            description,
            sizeBytes,
            info.abilities(),
            has(Nbd.FLAG_READ_ONLY),
            has(Nbd.FLAG_SEND_DF),
            replies == Negotiated.Replies.EXTENDED && has(Nbd.FLAG_BLOCK_STATUS_PAYLOAD),
            sent(minimumBytes),
            sent(preferredBytes),
            sent(maximumBytes),
            replies != Negotiated.Replies.SIMPLE,
            replies == Negotiated.Replies.EXTENDED,
            tlsProtocol,
            info.metaContexts());
    return new Negotiated(export, info, replies, contextById, minimumBytes, maximumRequestBytes);
  }

  private OptionalLong sent(long bytes) {
    return blockSizesSent ? OptionalLong.of(bytes) : OptionalLong.empty();
  }

  private boolean has(int flag) {
    return (flags & flag) != 0;
  }

  private Set<Ability> abilities() {
    Set<Ability> abilities = EnumSet.noneOf(Ability.class);
    add(abilities, Nbd.FLAG_SEND_FLUSH, Ability.FLUSH);
    add(abilities, Nbd.FLAG_SEND_FUA, Ability.FUA);
    add(abilities, Nbd.FLAG_ROTATIONAL, Ability.ROTATIONAL);
    add(abilities, Nbd.FLAG_CAN_MULTI_CONN, Ability.MULTI_CONN);
    add(abilities, Nbd.FLAG_SEND_CACHE, Ability.CACHE);
    if (!has(Nbd.FLAG_READ_ONLY)) {
      abilities.add(Ability.WRITE);
      add(abilities, Nbd.FLAG_SEND_TRIM, Ability.TRIM);
      add(abilities, Nbd.FLAG_SEND_WRITE_ZEROES, Ability.WRITE_ZEROES);
      if (abilities.contains(Ability.WRITE_ZEROES)) {
        add(abilities, Nbd.FLAG_SEND_FAST_ZERO, Ability.FAST_ZERO);
      }
    }
    return abilities;
  }

  private void add(Set<Ability> abilities, int flag, Ability ability) {
    if (has(flag)) {
      abilities.add(ability);
    }
  }
}
