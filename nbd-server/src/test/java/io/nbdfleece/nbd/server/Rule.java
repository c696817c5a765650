// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/// The rules of `PROTOCOL.md` that a test shows, by their ids, e.g. `@Rule({"G3", "G4"})`.
/// [ProtocolTableTest] holds the annotations and the table against each other.
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface Rule {
  String[] value();
}
