// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import io.nbdfleece.nbd.Extent;
import java.util.List;

/// The whole answer to a request.
///
/// @param error its number, 0 = none
/// @param data of a READ; zeroes where a hole was sent
/// @param extents of a BLOCK_STATUS
@SuppressWarnings("ArrayRecordComponent") // never compared, never changed
record Reply(int error, byte[] data, List<Extent> extents) {
  boolean isSuccess() {
    return error == 0;
  }
}
