// SPDX-License-Identifier: Apache-2.0
/// Encryption of both ends: X.509 by the JDK, pre-shared keys by Bouncy Castle. Hidden: server and
/// client have their own settings for it.
@NullMarked
package io.nbdfleece.nbd.tls;

import org.jspecify.annotations.NullMarked;
