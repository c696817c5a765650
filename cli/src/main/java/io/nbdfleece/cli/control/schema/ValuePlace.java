// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

/// Where a value stands, as QEMU's messages say it: most give the path from the arguments down,
/// `actions[0].data.node`; those about values of enumerations, about ranges and about alternates
/// only the member's own name, which an element of an array does not have (QEMU prints `null`).
///
/// @param path from the top; empty = the top itself
/// @param name the member's own
record ValuePlace(String path, String name) {
  static final ValuePlace TOP = new ValuePlace("", "null");

  ValuePlace member(String member) {
    return new ValuePlace(path.isEmpty() ? member : path + "." + member, member);
  }

  ValuePlace element(int index) {
    return new ValuePlace(path + "[" + index + "]", "null");
  }
}
