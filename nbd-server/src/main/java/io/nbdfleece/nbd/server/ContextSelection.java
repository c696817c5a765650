// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Metadata contexts with their ids on the wire: those that NBD_OPT_SET_META_CONTEXT selected, or
/// some of them that one request asks for. Immutable.
///
/// @param names of the export's contexts
/// @param ids of the same, one each
record ContextSelection(List<String> names, List<Integer> ids) {
  private static final int PAYLOAD_HEAD_BYTES = 8;

  ContextSelection {
    names = List.copyOf(names);
    ids = List.copyOf(ids);
  }

  /// All that were selected, in that order.
  static ContextSelection of(List<String> selected) {
    List<Integer> ids = new ArrayList<>();
    for (int index = 0; index < selected.size(); index++) {
      ids.add(id(index));
    }
    return new ContextSelection(selected, ids);
  }

  /// The id on the wire of the context selected at that place.
  static int id(int index) {
    return index + 1;
  }

  /// The length of the payload of a BLOCK_STATUS that names some of these contexts, if it is valid;
  /// 0 for everything else.
  int payloadBytes(RequestHeader request) {
    if (request.command() != Nbd.CMD_BLOCK_STATUS || !request.hasPayload()) {
      return 0;
    }
    long bytes = request.lengthBytes();
    long bytesMax = PAYLOAD_HEAD_BYTES + 4L * names.size();
    return bytes > PAYLOAD_HEAD_BYTES && bytes <= bytesMax && bytes % 4 == 0 ? (int) bytes : 0;
  }

  /// The contexts whose ids are all that is left in `payload`, in the order of the selection; none
  /// when there is no id, or one that is unknown or comes twice. Consumes the payload.
  Optional<ContextSelection> subset(ByteBuf payload) {
    boolean[] wanted = new boolean[names.size()];
    boolean valid = payload.isReadable();
    while (payload.isReadable()) {
      int index = ids.indexOf(payload.readInt());
      valid &= index >= 0 && !wanted[index];
      if (index >= 0) {
        wanted[index] = true;
      }
    }
    if (!valid) {
      return Optional.empty();
    }
    List<String> someNames = new ArrayList<>();
    List<Integer> someIds = new ArrayList<>();
    for (int index = 0; index < wanted.length; index++) {
      if (wanted[index]) {
        someNames.add(names.get(index));
        someIds.add(ids.get(index));
      }
    }
    return Optional.of(new ContextSelection(someNames, someIds));
  }
}
