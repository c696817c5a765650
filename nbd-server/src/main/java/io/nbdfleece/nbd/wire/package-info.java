// SPDX-License-Identifier: Apache-2.0
/// The bytes of the protocol, shared by server and client; not exported.
@NullMarked
package io.nbdfleece.nbd.wire;

import org.jspecify.annotations.NullMarked;
