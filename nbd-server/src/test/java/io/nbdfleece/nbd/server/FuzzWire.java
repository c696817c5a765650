// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

/// Numbers of the specification that the fuzzer and its oracle need besides those of `Nbd`, written
/// down on their own so that a slip in the product's does not hide itself.
final class FuzzWire {
  private FuzzWire() {}

  static final int OPT_EXTENDED_HEADERS = 11;
  static final int CMD_FLAG_PAYLOAD_LEN = 1 << 5;
  static final int EXTENDED_REQUEST_MAGIC = 0x21e41c71;
  static final int EXTENDED_REPLY_MAGIC = 0x6e8a278c;
  static final int REPLY_BLOCK_STATUS_EXT = 6;
}
