// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ExportInfo.Ability;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What client and server settled in the handshake, and what the server said of the export, for
/// people and for tools like `nbdfleece info`.
///
/// @param name the canonical name if the server told it, else the name that was asked for
/// @param description for people; empty if the server sent none. Without control characters
/// @param sizeBytes 0 to `Long.MAX_VALUE`
/// @param abilities what the server advertised; nothing that changes content if `readOnly`
/// @param readOnly NBD_FLAG_READ_ONLY
/// @param dontFragment NBD_FLAG_SEND_DF
/// @param statusPayload NBD_FLAG_BLOCK_STATUS_PAYLOAD: block status of some contexts only
/// @param minimumBlockBytes as sent in NBD_INFO_BLOCK_SIZE; empty if it was not sent
/// @param preferredBlockBytes the same
/// @param maximumBlockBytes the same; up to 2^32 - 1, which stands for no limit
/// @param structuredReplies whether replies come in chunks; true with extended headers too
/// @param extendedHeaders whether lengths have 64 bits
/// @param tlsProtocol e.g. `TLSv1.3`; empty when not encrypted
/// @param contexts the metadata contexts negotiated, in the order asked for: all that the server
///   offers if [ClientOptions#ALL_CONTEXTS] was asked for
public record NegotiatedExport(
    String name,
    String description,
    long sizeBytes,
    Set<Ability> abilities,
    boolean readOnly,
    boolean dontFragment,
    boolean statusPayload,
    OptionalLong minimumBlockBytes,
    OptionalLong preferredBlockBytes,
    OptionalLong maximumBlockBytes,
    boolean structuredReplies,
    boolean extendedHeaders,
    Optional<String> tlsProtocol,
    List<String> contexts) {

  public NegotiatedExport {
    abilities = Set.copyOf(abilities);
    contexts = List.copyOf(contexts);
  }
}
