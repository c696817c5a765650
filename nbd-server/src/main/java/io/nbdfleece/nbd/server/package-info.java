// SPDX-License-Identifier: Apache-2.0
/// Serves an [io.nbdfleece.nbd.ExportCatalog]. Start at [io.nbdfleece.nbd.server.NbdServer].
@NullMarked
package io.nbdfleece.nbd.server;

import org.jspecify.annotations.NullMarked;
