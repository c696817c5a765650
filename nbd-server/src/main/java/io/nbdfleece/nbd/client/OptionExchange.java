// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.nio.ByteBuffer;

/// Sends options and takes their replies (NBD specification, "Option haggling"), checked for
/// everything that holds for each of them. Used by the thread that connects.
final class OptionExchange {
  /// The longest reply that the specification allows is an NBD_REP_SERVER with two strings.
  private static final int REPLY_BYTES_MAX = 4 + 2 * Nbd.STRING_BYTES_MAX;

  /// Bounds what a server can make the handshake keep.
  private static final long HANDSHAKE_BYTES_MAX = 16 << 20;

  private final HandshakeStream stream;
  private boolean encrypted;

  OptionExchange(HandshakeStream stream) {
    this.stream = stream;
  }

  /// From now on the options travel over TLS.
  void encrypted() {
    encrypted = true;
  }

  void send(int option, ByteBuffer payload) {
    ByteBuffer bytes = ByteBuffer.allocate(16 + payload.remaining());
    bytes.putLong(Nbd.IHAVEOPT).putInt(option).putInt(payload.remaining()).put(payload);
    stream.write(bytes.flip());
  }

  /// Sends an option without payload that is answered by yes or no, and says which.
  boolean isAcknowledged(int option) throws IOException {
    send(option, ByteBuffer.allocate(0));
    OptionReply reply = receive(option);
    if (reply.isError()) {
      return false;
    }
    requireAck(option, reply);
    return true;
  }

  OptionReply receive(int option) throws IOException {
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
      if (encrypted) {
        throw violation("an error that asks for TLS, over TLS");
      }
      throw new IOException(
          "the server: " + reply.errorText() + "; write nbds instead of nbd in the URI");
    }
    if (type == Nbd.REP_ERR_SHUTDOWN) {
      throw new IOException("the server: " + reply.errorText());
    }
    return reply;
  }

  void requireAck(int option, OptionReply reply) throws ProtocolViolationException {
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
