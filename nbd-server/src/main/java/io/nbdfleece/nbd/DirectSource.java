// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;

/// Something that can put bytes of an export into a socket by itself, so that they pass through no
/// buffer of the server. See [Export#direct].
public interface DirectSource {

  /// Puts `head` and the bytes of the range behind it into a socket, as far as there is room. Does
  /// not wait for the socket, and for nothing else as long as the bytes are still at hand.
  ///
  /// @param socket the descriptor of a socket that does not block
  /// @param head direct; its position moves on by what went of it
  /// @param lengthBytes at least 1
  /// @return how many bytes of the range went; 0 when there was no room for any
  /// @throws IOException ends the connection
  int send(int socket, ByteBuffer head, long offsetBytes, int lengthBytes) throws IOException;
}
