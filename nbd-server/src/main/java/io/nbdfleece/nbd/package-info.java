// SPDX-License-Identifier: Apache-2.0
/// The NBD protocol as a library: implement [io.nbdfleece.nbd.Export], offer it through an
/// [io.nbdfleece.nbd.ExportCatalog], serve it with `nbd.server.NbdServer`, use it with
/// `nbd.client.NbdClient`.
///
/// ```
///   socket ─▶ nbd.server (options, requests, limits) ─▶ Export ─▶ your data
///   your code ─▶ nbd.client ─▶ socket        both ends share nbd.wire, which is hidden
/// ```
@NullMarked
package io.nbdfleece.nbd;

import org.jspecify.annotations.NullMarked;
