// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.ExportInfo.Ability;
import java.util.EnumSet;
import java.util.Set;

/// Whether a server that came back can stand in for the one that went away.
final class RemoteIdentity {
  private static final String ALLOCATION = "base:allocation";

  private RemoteIdentity() {}

  /// What the later one lacks, for people; empty if nothing. More abilities or contexts than before
  /// do no harm. Nor do fewer contexts, but for `base:allocation`: a dirty bitmap may be removed at
  /// any time, which ends the requests for it, not those for data.
  static String difference(NbdClient before, NbdClient after) {
    if (after.info().sizeBytes() != before.info().sizeBytes()) {
      return "another size: "
          + after.info().sizeBytes()
          + " bytes, before "
          + before.info().sizeBytes();
    }
    Set<Ability> lost = EnumSet.noneOf(Ability.class);
    lost.addAll(before.info().abilities());
    lost.removeAll(after.info().abilities());
    lost.remove(Ability.ROTATIONAL);
    if (!lost.isEmpty()) {
      return "fewer abilities, without " + lost;
    }
    if (before.info().metaContexts().contains(ALLOCATION)
        && !after.info().metaContexts().contains(ALLOCATION)) {
      return "no metadata context " + ALLOCATION;
    }
    if (after.minimumBlockBytes() > before.minimumBlockBytes()
        || after.maximumRequestBytes() < before.maximumRequestBytes()
        || after.effectBytesMax() < before.effectBytesMax()) {
      return "narrower limits for requests";
    }
    return "";
  }
}
