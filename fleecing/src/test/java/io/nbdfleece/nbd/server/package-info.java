// SPDX-License-Identifier: Apache-2.0
/// What tests need of the NBD server from the inside.
@NullMarked
package io.nbdfleece.nbd.server;

import org.jspecify.annotations.NullMarked;
