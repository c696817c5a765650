// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.bytes;
import static io.nbdfleece.nbd.server.RawPeer.go;
import static io.nbdfleece.nbd.server.RawPeer.option;
import static io.nbdfleece.nbd.server.RawPeer.queries;

import io.nbdfleece.nbd.wire.Nbd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/// What one fuzzed client sends: a session built piece by piece from what the protocol has, then,
/// for most of them, damaged by [FuzzMutation] and cut.
final class FuzzScript {
  /// How the client leaves after its last byte.
  enum Ending {
    /// Closes its half and reads all replies.
    HALF_CLOSE,
    CLOSE,
    RESET,
    /// Stays, silent.
    STALL
  }

  private static final String[] NAMES = {"disk", "disk", "disk", "huge", "readonly", ""};
  private static final String[] CONTEXTS = {
    "base:allocation", FuzzExport.BITMAP, "base:", "qemu:", "x:y", ""
  };
  private static final int WRITE_BYTES_MAX = 6000;

  final byte[] bytes;
  final Ending ending;
  final boolean damaged;
  private final SplittableRandom random;
  private final List<byte[]> pieces = new ArrayList<>();
  private boolean extended;
  private long cookie;

  FuzzScript(SplittableRandom random) {
    this(random, new byte[0]);
  }

  /// @param clientHello what a TLS client begins with; empty where TLS is not tried in earnest
  FuzzScript(SplittableRandom random, byte[] clientHello) {
    this.random = random;
    if (clientHello.length > 0 && chance(70)) {
      tls(clientHello);
    } else {
      session();
    }
    damaged = random.nextInt(100) < 70;
    if (damaged) {
      FuzzMutation mutation = new FuzzMutation(random);
      for (int count = random.nextInt(1, 4); count > 0; count--) {
        mutation.damage(pieces);
      }
    }
    byte[] whole = RawPeer.concat(pieces.toArray(new byte[0][]));
    bytes = random.nextInt(4) == 0 ? Arrays.copyOf(whole, random.nextInt(whole.length + 1)) : whole;
    Ending[] endings = Ending.values();
    // Half of all leave politely, for then the most can be checked.
    ending = random.nextBoolean() ? Ending.HALF_CLOSE : endings[random.nextInt(endings.length)];
  }

  private boolean chance(int percent) {
    return random.nextInt(100) < percent;
  }

  private String pick(String[] from) {
    return from[random.nextInt(from.length)];
  }

  private void session() {
    int flags = chance(90) ? 3 : random.nextInt(4);
    pieces.add(bytes(out -> out.writeInt(flags)));
    if (chance(10)) {
      pieces.add(option(Nbd.OPT_STARTTLS));
    }
    String name = pick(NAMES);
    if (chance(25)) {
      extended = true;
      pieces.add(option(FuzzWire.OPT_EXTENDED_HEADERS));
    }
    if (chance(60)) {
      pieces.add(option(Nbd.OPT_STRUCTURED_REPLY));
    }
    for (int count = chance(60) ? 0 : random.nextInt(8); count > 0; count--) {
      pieces.add(anyOption());
    }
    if (chance(60)) {
      pieces.add(option(Nbd.OPT_SET_META_CONTEXT, contexts(name)));
    }
    if (chance(10)) {
      pieces.add(
          RawPeer.option(
              Nbd.OPT_EXPORT_NAME, name.getBytes(java.nio.charset.StandardCharsets.UTF_8)));
    } else if (chance(92)) {
      pieces.add(option(Nbd.OPT_GO, go(name, infoTypes())));
    }
    for (int count = random.nextInt(16); count > 0; count--) {
      pieces.add(request());
    }
    if (chance(50)) {
      pieces.add(header(Nbd.CMD_DISC, chance(80) ? 0 : random.nextInt(1 << 16), 0, 0));
    }
  }

  /// Begins TLS, mostly right, and goes on with a ClientHello in fragments, or with anything else.
  private void tls(byte[] clientHello) {
    pieces.add(bytes(out -> out.writeInt(3)));
    if (chance(20)) {
      pieces.add(anyOption());
    }
    pieces.add(option(Nbd.OPT_STARTTLS));
    int first = chance(50) ? clientHello.length : random.nextInt(clientHello.length);
    pieces.add(Arrays.copyOf(clientHello, first));
    pieces.add(Arrays.copyOfRange(clientHello, first, clientHello.length));
    if (chance(50)) {
      byte[] record = new byte[5 + random.nextInt(300)];
      random.nextBytes(record);
      // A record of TLS 1.2 and of any type.
      record[0] = (byte) (20 + random.nextInt(5));
      record[1] = 3;
      record[2] = 3;
      pieces.add(pieces.size() - random.nextInt(3), record);
    }
  }

  private byte[] contexts(String name) {
    String[] wanted = new String[chance(3) ? 300 : random.nextInt(4)];
    for (int index = 0; index < wanted.length; index++) {
      wanted[index] = pick(CONTEXTS);
    }
    return queries(name, wanted);
  }

  private int[] infoTypes() {
    int[] types = new int[chance(2) ? 2000 : random.nextInt(5)];
    for (int index = 0; index < types.length; index++) {
      types[index] = chance(90) ? random.nextInt(5) : random.nextInt(1 << 16);
    }
    return types;
  }

  private String anyName() {
    return switch (random.nextInt(8)) {
      case 0 -> "none";
      case 1 -> "x".repeat(random.nextBoolean() ? 4096 : 4097);
      case 2 -> "di\0sk";
      case 3 -> "disk\u202e\n";
      default -> pick(NAMES);
    };
  }

  private byte[] anyOption() {
    byte[] junk = new byte[random.nextInt(chance(5) ? 5000 : 12)];
    random.nextBytes(junk);
    byte[] maybeJunk = chance(80) ? new byte[0] : junk;
    return switch (random.nextInt(13)) {
      case 0 -> option(Nbd.OPT_LIST, maybeJunk);
      case 1 -> option(Nbd.OPT_STRUCTURED_REPLY, maybeJunk);
      case 2 -> option(FuzzWire.OPT_EXTENDED_HEADERS, junk);
      case 3 -> option(Nbd.OPT_STARTTLS, maybeJunk);
      case 4, 5 -> option(Nbd.OPT_INFO, go(anyName(), infoTypes()));
      case 6 -> option(Nbd.OPT_LIST_META_CONTEXT, contexts(anyName()));
      case 7 -> option(Nbd.OPT_SET_META_CONTEXT, contexts(anyName()));
      case 8 -> option(Nbd.OPT_GO, go(anyName(), infoTypes()));
      case 9 -> option(4, junk);
      case 10 -> chance(20) ? option(Nbd.OPT_ABORT, maybeJunk) : option(Nbd.OPT_LIST);
      case 11 -> option(random.nextInt(), junk);
      default -> option(random.nextInt(12), junk);
    };
  }

  private byte[] request() {
    int command = chance(95) ? random.nextInt(8) : random.nextInt(1 << 16);
    if (command == Nbd.CMD_DISC && chance(95)) {
      command = Nbd.CMD_READ;
    }
    int flags = chance(80) ? 0 : chance(80) ? 1 << random.nextInt(6) : random.nextInt(1 << 16);
    if (command == Nbd.CMD_WRITE) {
      return write(flags);
    }
    long length = chance(90) ? random.nextInt(WRITE_BYTES_MAX) : FuzzMutation.edge(random);
    long offset =
        chance(80)
            ? random.nextInt(FuzzExport.DISK_BYTES - WRITE_BYTES_MAX)
            : FuzzMutation.edge(random);
    if (command == Nbd.CMD_BLOCK_STATUS && extended && chance(20)) {
      return statusOfSome(flags, offset, length);
    }
    if (command == Nbd.CMD_FLUSH && chance(90)) {
      return header(command, flags, 0, 0);
    }
    return header(command, flags, offset, length);
  }

  /// A block status that names the contexts in a payload.
  private byte[] statusOfSome(int flags, long offset, long length) {
    int[] ids = new int[random.nextInt(4)];
    for (int index = 0; index < ids.length; index++) {
      ids[index] = chance(90) ? random.nextInt(4) : random.nextInt();
    }
    byte[] payload =
        bytes(
            out -> {
              out.writeLong(length);
              for (int id : ids) {
                out.writeInt(id);
              }
            });
    int allFlags = flags | FuzzWire.CMD_FLAG_PAYLOAD_LEN;
    return RawPeer.concat(header(Nbd.CMD_BLOCK_STATUS, allFlags, offset, payload.length), payload);
  }

  private byte[] write(int flags) {
    byte[] data = new byte[chance(10) ? 0 : random.nextInt(WRITE_BYTES_MAX)];
    random.nextBytes(data);
    boolean inside = chance(85);
    long offset =
        inside ? random.nextInt(FuzzExport.DISK_BYTES - data.length) : FuzzMutation.edge(random);
    long length = chance(97) ? data.length : FuzzMutation.edge(random);
    int payloadFlag = extended && chance(95) ? FuzzWire.CMD_FLAG_PAYLOAD_LEN : 0;
    return RawPeer.concat(header(Nbd.CMD_WRITE, flags | payloadFlag, offset, length), data);
  }

  private byte[] header(int command, int flags, long offset, long length) {
    long id = ++cookie << 32 | 0xf;
    if (!extended) {
      return RawPeer.request(command, flags, id, offset, length);
    }
    return bytes(
        out -> {
          out.writeInt(FuzzWire.EXTENDED_REQUEST_MAGIC);
          out.writeShort(flags);
          out.writeShort(command);
          out.writeLong(id);
          out.writeLong(offset);
          out.writeLong(length);
        });
  }
}
