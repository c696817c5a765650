// SPDX-License-Identifier: Apache-2.0
/// Uses other NBD servers. Start at [io.nbdfleece.nbd.client.NbdClient], one connection, or
/// [io.nbdfleece.nbd.client.RemoteExport], an export over several that are made again when they
/// break.
///
/// ```
///   RemoteExport ─▶ SplitRequest ─▶ RemoteLink ─▶ NbdClient ─▶ Transmission ─▶ socket
///                                       │            ▲             └ ReplyDecoder ◀┘
///                                       └─ connect ──┴─ Dialer ─▶ Negotiation ─▶ ContextHaggling
/// ```
@NullMarked
package io.nbdfleece.nbd.client;

import org.jspecify.annotations.NullMarked;
