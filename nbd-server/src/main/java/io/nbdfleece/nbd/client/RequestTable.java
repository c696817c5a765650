// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.netty.util.collection.LongObjectHashMap;
import java.util.ArrayList;
import java.util.List;

/// The requests that the server owes a reply to. Event loop only.
final class RequestTable {
  private final LongObjectHashMap<Request> byCookie = new LongObjectHashMap<>();
  private long nextCookie = 1;

  /// Adds one and says under which cookie. Cookies are never used twice.
  long add(Request request) {
    long cookie = nextCookie++;
    byCookie.put(cookie, request);
    return cookie;
  }

  Request find(long cookie) throws ProtocolViolationException {
    Request request = byCookie.get(cookie);
    if (request == null) {
      throw new ProtocolViolationException(
          "a reply with cookie 0x" + Long.toHexString(cookie) + ", which no request waits for");
    }
    return request;
  }

  /// Completes a request. If its reply is not good enough, throws and keeps it, so that it fails
  /// with all the others.
  void end(long cookie, Request request) throws ProtocolViolationException {
    request.replied();
    byCookie.remove(cookie);
  }

  /// Whether a request was sent before that moment and has no answer yet.
  boolean hasSentBefore(long momentNanos) {
    for (Request request : byCookie.values()) {
      if (request.sentNanos - momentNanos < 0) {
        return true;
      }
    }
    return false;
  }

  int size() {
    return byCookie.size();
  }

  /// Empties the table.
  List<Request> takeAll() {
    List<Request> all = new ArrayList<>(byCookie.values());
    byCookie.clear();
    return all;
  }
}
