// SPDX-License-Identifier: Apache-2.0
/// Uses another NBD server. Start at [io.nbdfleece.nbd.client.NbdClient].
@NullMarked
package io.nbdfleece.nbd.client;

import org.jspecify.annotations.NullMarked;
