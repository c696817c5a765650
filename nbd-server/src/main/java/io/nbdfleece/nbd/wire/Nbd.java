// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

/// The numbers of the NBD protocol, by the names of the specification (doc/proto.md, "Values").
public final class Nbd {
  private Nbd() {}

  /// "NBDMAGIC".
  public static final long NBDMAGIC = 0x4e42444d41474943L;

  /// "IHAVEOPT".
  public static final long IHAVEOPT = 0x49484156454f5054L;

  public static final long OPTION_REPLY_MAGIC = 0x3e889045565a9L;
  public static final int REQUEST_MAGIC = 0x25609513;
  public static final int SIMPLE_REPLY_MAGIC = 0x67446698;
  public static final int STRUCTURED_REPLY_MAGIC = 0x668e33ef;
  public static final int EXTENDED_REQUEST_MAGIC = 0x21e41c71;
  public static final int EXTENDED_REPLY_MAGIC = 0x6e8a278c;

  public static final int DEFAULT_PORT = 10809;

  /// Longest string in the protocol, in bytes of UTF-8.
  public static final int STRING_BYTES_MAX = 4096;

  public static final int REQUEST_HEADER_BYTES = 28;
  public static final int SIMPLE_REPLY_BYTES = 16;
  public static final int STRUCTURED_REPLY_HEADER_BYTES = 20;
  public static final int EXTENDED_REQUEST_HEADER_BYTES = 32;
  public static final int EXTENDED_REPLY_HEADER_BYTES = 32;

  // Handshake flags of the server and of the client.
  public static final int FLAG_FIXED_NEWSTYLE = 1;
  public static final int FLAG_NO_ZEROES = 1 << 1;

  // Options.
  public static final int OPT_EXPORT_NAME = 1;
  public static final int OPT_ABORT = 2;
  public static final int OPT_LIST = 3;
  public static final int OPT_STARTTLS = 5;
  public static final int OPT_INFO = 6;
  public static final int OPT_GO = 7;
  public static final int OPT_STRUCTURED_REPLY = 8;
  public static final int OPT_LIST_META_CONTEXT = 9;
  public static final int OPT_SET_META_CONTEXT = 10;
  public static final int OPT_EXTENDED_HEADERS = 11;

  // Option replies.
  public static final int REP_ACK = 1;
  public static final int REP_SERVER = 2;
  public static final int REP_INFO = 3;
  public static final int REP_META_CONTEXT = 4;
  public static final int REP_ERR = 1 << 31;
  public static final int REP_ERR_UNSUP = REP_ERR | 1;
  public static final int REP_ERR_POLICY = REP_ERR | 2;
  public static final int REP_ERR_INVALID = REP_ERR | 3;
  public static final int REP_ERR_PLATFORM = REP_ERR | 4;
  public static final int REP_ERR_TLS_REQD = REP_ERR | 5;
  public static final int REP_ERR_UNKNOWN = REP_ERR | 6;
  public static final int REP_ERR_SHUTDOWN = REP_ERR | 7;
  public static final int REP_ERR_BLOCK_SIZE_REQD = REP_ERR | 8;
  public static final int REP_ERR_TOO_BIG = REP_ERR | 9;
  public static final int REP_ERR_EXT_HEADER_REQD = REP_ERR | 10;

  // Information types.
  public static final int INFO_EXPORT = 0;
  public static final int INFO_NAME = 1;
  public static final int INFO_DESCRIPTION = 2;
  public static final int INFO_BLOCK_SIZE = 3;

  // Transmission flags.
  public static final int FLAG_HAS_FLAGS = 1;
  public static final int FLAG_READ_ONLY = 1 << 1;
  public static final int FLAG_SEND_FLUSH = 1 << 2;
  public static final int FLAG_SEND_FUA = 1 << 3;
  public static final int FLAG_ROTATIONAL = 1 << 4;
  public static final int FLAG_SEND_TRIM = 1 << 5;
  public static final int FLAG_SEND_WRITE_ZEROES = 1 << 6;
  public static final int FLAG_SEND_DF = 1 << 7;
  public static final int FLAG_CAN_MULTI_CONN = 1 << 8;
  public static final int FLAG_SEND_CACHE = 1 << 10;
  public static final int FLAG_SEND_FAST_ZERO = 1 << 11;
  public static final int FLAG_BLOCK_STATUS_PAYLOAD = 1 << 12;

  // Commands.
  public static final int CMD_READ = 0;
  public static final int CMD_WRITE = 1;
  public static final int CMD_DISC = 2;
  public static final int CMD_FLUSH = 3;
  public static final int CMD_TRIM = 4;
  public static final int CMD_CACHE = 5;
  public static final int CMD_WRITE_ZEROES = 6;
  public static final int CMD_BLOCK_STATUS = 7;

  // Command flags.
  public static final int CMD_FLAG_FUA = 1;
  public static final int CMD_FLAG_NO_HOLE = 1 << 1;
  public static final int CMD_FLAG_DF = 1 << 2;
  public static final int CMD_FLAG_REQ_ONE = 1 << 3;
  public static final int CMD_FLAG_FAST_ZERO = 1 << 4;
  public static final int CMD_FLAG_PAYLOAD_LEN = 1 << 5;

  // Chunks of structured and of extended replies.
  public static final int REPLY_FLAG_DONE = 1;
  public static final int REPLY_NONE = 0;
  public static final int REPLY_OFFSET_DATA = 1;
  public static final int REPLY_OFFSET_HOLE = 2;
  public static final int REPLY_BLOCK_STATUS = 5;
  public static final int REPLY_BLOCK_STATUS_EXT = 6;
  public static final int REPLY_ERROR = 1 << 15 | 1;
  public static final int REPLY_ERROR_OFFSET = 1 << 15 | 2;
}
