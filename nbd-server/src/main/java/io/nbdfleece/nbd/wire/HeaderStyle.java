// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

/// Which messages the two ends have agreed on for the transmission phase (NBD specification,
/// "Transmission", and its extension `extended headers`).
public enum HeaderStyle {
  /// Requests of 28 bytes, simple replies.
  SIMPLE(Nbd.REQUEST_MAGIC, Nbd.REQUEST_HEADER_BYTES, 0),
  /// Requests of 28 bytes, replies in chunks with a header of 20 bytes where they have content.
  STRUCTURED(Nbd.REQUEST_MAGIC, Nbd.REQUEST_HEADER_BYTES, Nbd.STRUCTURED_REPLY_HEADER_BYTES),
  /// Requests of 32 bytes with lengths of 64 bits; every reply in chunks with a header of 32 bytes.
  EXTENDED(
      Nbd.EXTENDED_REQUEST_MAGIC,
      Nbd.EXTENDED_REQUEST_HEADER_BYTES,
      Nbd.EXTENDED_REPLY_HEADER_BYTES);

  private final int requestMagic;
  private final int requestBytes;
  private final int chunkBytes;

  HeaderStyle(int requestMagic, int requestBytes, int chunkBytes) {
    this.requestMagic = requestMagic;
    this.requestBytes = requestBytes;
    this.chunkBytes = chunkBytes;
  }

  /// The style for what the options of the handshake have agreed on.
  public static HeaderStyle of(boolean structuredReplies, boolean extendedHeaders) {
    return extendedHeaders ? EXTENDED : structuredReplies ? STRUCTURED : SIMPLE;
  }

  public int requestMagic() {
    return requestMagic;
  }

  /// Length of a request's header.
  public int requestBytes() {
    return requestBytes;
  }

  /// Length of the header of a reply chunk; 0 where there are none.
  public int chunkBytes() {
    return chunkBytes;
  }

  /// Whether replies with content come in chunks.
  public boolean isChunked() {
    return chunkBytes != 0;
  }
}
