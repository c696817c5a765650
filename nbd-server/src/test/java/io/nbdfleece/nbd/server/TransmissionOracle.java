// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/// Plays the requests on a model of the disk, then matches the replies: each answers one request,
/// once, with what the model says.
final class TransmissionOracle {
  private static final long PAYLOAD_BYTES_MAX = 32 << 20;
  private static final byte[] NOTHING = {};

  /// One request that is owed a reply.
  ///
  /// @param errors which it may fail with; it succeeds if there are none
  /// @param data what a read must bring; made when it is looked at, for a client may ask for much
  ///   more than it waits for
  record Owed(
      int command,
      int flags,
      long cookie,
      long offset,
      long length,
      List<Integer> errors,
      Supplier<byte[]> data,
      Map<Integer, String> contexts) {}

  private final HandshakeOracle.Agreed agreed;
  private final ByteBuffer sent;
  private final ByteBuffer replies;
  private final byte[] model = new byte[FuzzExport.DISK_BYTES];
  private final Map<Long, List<Owed>> owed = new HashMap<>();

  TransmissionOracle(HandshakeOracle.Agreed agreed, ByteBuffer sent, ByteBuffer replies) {
    this.agreed = agreed;
    this.sent = sent;
    this.replies = replies;
  }

  void judge(FuzzSession.Leaving leaving, List<byte[]> disks) {
    boolean wellFormed = requests();
    Optional<FuzzSession.RepliesEnd> end = Optional.empty();
    try {
      while (replies.hasRemaining()) {
        FuzzReply reply = FuzzReply.read(agreed.format(), replies, owed);
        Owed answered = reply.match(owed.getOrDefault(reply.cookie(), List.of()), agreed);
        List<Owed> left = owed.get(answered.cookie());
        if (left != null) {
          left.remove(answered);
        }
      }
    } catch (FuzzSession.RepliesEnd partial) {
      end = Optional.of(partial);
    }
    if (leaving == FuzzSession.Leaving.POLITE && wellFormed) {
      end.ifPresent(
          partial -> {
            throw partial;
          });
      List<Owed> missing = owed.values().stream().flatMap(List::stream).toList();
      assertEquals(List.of(), missing, "requests without a reply");
      boolean huge = agreed.kind() == FuzzExport.Kind.HUGE;
      assertTrue(huge || disks.stream().anyMatch(d -> Arrays.equals(model, d)), "the disk");
    } else if (end.isPresent()) {
      // It was dropped or went away, in the middle of a reply.
      replies.position(replies.limit());
    }
  }

  /// Whether the client stuck to the protocol, so that nothing may be lost.
  private boolean requests() {
    boolean extended = agreed.format() == HandshakeOracle.Format.EXTENDED;
    int headerBytes = extended ? 32 : 28;
    while (sent.remaining() >= headerBytes) {
      int magic = sent.getInt();
      int flags = sent.getShort() & 0xffff;
      int command = sent.getShort() & 0xffff;
      long cookie = sent.getLong();
      long offset = sent.getLong();
      long length = extended ? sent.getLong() : Integer.toUnsignedLong(sent.getInt());
      if (magic != (extended ? FuzzWire.EXTENDED_REQUEST_MAGIC : Nbd.REQUEST_MAGIC)) {
        return false;
      }
      if (command == Nbd.CMD_DISC) {
        return true;
      }
      boolean hasPayload =
          command == Nbd.CMD_WRITE || (extended && (flags & FuzzWire.CMD_FLAG_PAYLOAD_LEN) != 0);
      ByteBuffer payload = ByteBuffer.allocate(0);
      if (hasPayload) {
        if (Long.compareUnsigned(length, PAYLOAD_BYTES_MAX) > 0 || length > sent.remaining()) {
          // Too long, which may end the connection, or cut short, which leaves it unanswered.
          return Long.compareUnsigned(length, PAYLOAD_BYTES_MAX) <= 0;
        }
        payload = FuzzSession.slice(sent, (int) length);
      }
      Map<Integer, String> contexts = agreed.contexts();
      List<Integer> errors = new ArrayList<>();
      if (extended && hasPayload && command == Nbd.CMD_BLOCK_STATUS) {
        contexts = contexts(payload, errors);
        length = payload.limit() >= Long.BYTES ? payload.getLong(0) : 0;
      }
      errors.addAll(errors(command, flags, offset, length));
      Supplier<byte[]> data =
          errors.isEmpty() ? play(command, offset, length, payload) : () -> NOTHING;
      owed.computeIfAbsent(cookie, any -> new ArrayList<>())
          .add(new Owed(command, flags, cookie, offset, length, errors, data, contexts));
    }
    return true;
  }

  /// Those that a block status names in its payload, behind the length that it means.
  private Map<Integer, String> contexts(ByteBuffer payload, List<Integer> errors) {
    Map<Integer, String> named = new HashMap<>();
    boolean valid = payload.remaining() > Long.BYTES && payload.remaining() % 4 == 0;
    for (int at = Long.BYTES; valid && at < payload.limit(); at += 4) {
      String context = agreed.contexts().get(payload.getInt(at));
      valid = context != null && named.put(payload.getInt(at), context) == null;
    }
    if (!valid) {
      errors.add(22);
    }
    return named;
  }

  /// What is wrong with a request, all of it, whatever a server looks at first.
  private List<Integer> errors(int command, int flags, long offset, long length) {
    List<Integer> errors = new ArrayList<>();
    int known = flagsKnown(command);
    boolean readOnly = agreed.kind() == FuzzExport.Kind.READ_ONLY;
    if (known < 0) {
      errors.add(22);
      return errors;
    }
    if ((flags & ~known) != 0) {
      errors.add(22);
    }
    boolean changes =
        command == Nbd.CMD_WRITE || command == Nbd.CMD_TRIM || command == Nbd.CMD_WRITE_ZEROES;
    if (readOnly && changes) {
      errors.add(1);
    }
    if (command == Nbd.CMD_FLUSH) {
      if (offset != 0 || length != 0) {
        errors.add(22);
      }
      return errors;
    }
    long size = agreed.kind().sizeBytes;
    if (offset < 0 || offset > size || length < 0 || length > size - offset) {
      errors.add(command == Nbd.CMD_WRITE || command == Nbd.CMD_WRITE_ZEROES ? 28 : 22);
    }
    if (command <= Nbd.CMD_WRITE && Long.compareUnsigned(length, PAYLOAD_BYTES_MAX) > 0) {
      errors.add(22);
    }
    if (command == Nbd.CMD_BLOCK_STATUS && agreed.contexts().isEmpty()) {
      errors.add(22);
    }
    return errors;
  }

  /// Negative for a command that the export has not.
  private int flagsKnown(int command) {
    boolean readOnly = agreed.kind() == FuzzExport.Kind.READ_ONLY;
    int fua = readOnly ? 0 : Nbd.CMD_FLAG_FUA;
    int df = agreed.format() == HandshakeOracle.Format.SIMPLE ? 0 : Nbd.CMD_FLAG_DF;
    int payload =
        agreed.format() == HandshakeOracle.Format.EXTENDED ? FuzzWire.CMD_FLAG_PAYLOAD_LEN : 0;
    return switch (command) {
      case Nbd.CMD_READ -> fua | df;
      case Nbd.CMD_WRITE -> fua | payload;
      case Nbd.CMD_TRIM, Nbd.CMD_CACHE -> fua;
      case Nbd.CMD_FLUSH -> readOnly ? -1 : fua;
      case Nbd.CMD_WRITE_ZEROES -> fua | Nbd.CMD_FLAG_NO_HOLE | (readOnly ? 0 : 16);
      case Nbd.CMD_BLOCK_STATUS -> fua | Nbd.CMD_FLAG_REQ_ONE | payload;
      default -> -1;
    };
  }

  private Supplier<byte[]> play(int command, long offset, long length, ByteBuffer payload) {
    boolean huge = agreed.kind() == FuzzExport.Kind.HUGE;
    switch (command) {
      case Nbd.CMD_READ -> {
        if (!huge) {
          byte[] now = Arrays.copyOfRange(model, (int) offset, (int) (offset + length));
          return () -> now;
        }
        return () -> huge(offset, (int) length);
      }
      case Nbd.CMD_WRITE -> {
        if (!huge) {
          payload.get(model, (int) offset, (int) length);
        }
      }
      case Nbd.CMD_TRIM, Nbd.CMD_WRITE_ZEROES -> {
        if (!huge) {
          Arrays.fill(model, (int) offset, (int) (offset + length), (byte) 0);
        }
      }
      default -> assertTrue(command <= Nbd.CMD_BLOCK_STATUS, "a command of the protocol");
    }
    return () -> NOTHING;
  }

  private static byte[] huge(long offset, int length) {
    byte[] data = new byte[length];
    for (int index = 0; index < data.length; index++) {
      data[index] = FuzzExport.hugeByte(offset + index);
    }
    return data;
  }
}
