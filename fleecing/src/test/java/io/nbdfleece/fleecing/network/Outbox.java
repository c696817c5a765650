// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import java.util.ArrayDeque;

/// What a client has to send, piece by piece, and what is to be done when the server has it whole.
final class Outbox {
  private final ArrayDeque<Message> messages = new ArrayDeque<>();
  private int sentOfFirst;
  private long unsentBytes;
  private long sentTotal;

  @SuppressWarnings("ArrayRecordComponent") // never compared, never changed
  private record Message(byte[] bytes, Runnable arrived) {}

  void add(byte[] bytes, Runnable arrived) {
    messages.add(new Message(bytes, arrived));
    unsentBytes += bytes.length;
  }

  long unsentBytes() {
    return unsentBytes;
  }

  /// Since the beginning.
  long sentTotal() {
    return sentTotal;
  }

  /// Puts that many of the bytes into the pipe.
  void send(BytePipe pipe, int count) {
    for (int left = count; left > 0; ) {
      Message first = messages.element();
      int now = Math.min(left, first.bytes.length - sentOfFirst);
      pipe.put(first.bytes, sentOfFirst, now);
      sentOfFirst += now;
      sentTotal += now;
      unsentBytes -= now;
      left -= now;
      if (sentOfFirst == first.bytes.length) {
        messages.remove();
        sentOfFirst = 0;
        first.arrived.run();
      }
    }
  }
}
