// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What the snapshots of a disk that have a quota are charged with: each cluster of which they read
/// something from the store, once. Guarded by the hook's lock.
final class QuotaCharges {
  private final EpochLedger ledger;
  private final int clusterBytes;

  /// Epochs whose snapshot has a quota.
  private int quotaCount;

  QuotaCharges(EpochLedger ledger, int clusterBytes) {
    this.ledger = ledger;
    this.clusterBytes = clusterBytes;
  }

  void begins(Epoch epoch) {
    quotaCount += epoch.terms.quota().isPresent() ? 1 : 0;
  }

  void ends(Epoch epoch) {
    quotaCount -= epoch.terms.quota().isPresent() ? 1 : 0;
    giveBack(epoch, epoch.chargedClusters);
  }

  /// The newest epoch is about to have a version of a cluster, whole or in part: each snapshot that
  /// is going to read it pays.
  void charge(Epoch newest, int cluster, int version) {
    if (quotaCount == 0 || !ClusterMap.isEntry(version)) {
      return;
    }
    for (Epoch epoch = newest;
        epoch != null && !epoch.preserved.has(cluster);
        epoch = epoch.older) {
      if (epoch.terms.quota().isPresent()
          && !epoch.released.contains(cluster)
          && !readsStoredPart(epoch, cluster)) {
        epoch.terms.quota().get().take(clusterBytes);
        epoch.chargedClusters++;
      }
    }
  }

  private boolean reads(Epoch reader, int cluster) {
    return !reader.released.contains(cluster)
        && (readsStoredPart(reader, cluster)
            || ClusterMap.isEntry(ledger.version(reader, cluster)));
  }

  private static boolean readsStoredPart(Epoch reader, int cluster) {
    Part part = EpochLedger.part(reader, cluster);
    return part != null && ClusterMap.isEntry(part.version());
  }

  /// A snapshot is about to release clusters.
  void release(Epoch reader, int firstCluster, int endCluster) {
    if (reader.terms.quota().isEmpty()) {
      return;
    }
    int charged = 0;
    for (int cluster = ledger.nextVersion(reader, firstCluster, endCluster);
        cluster < endCluster;
        cluster = ledger.nextVersion(reader, cluster + 1, endCluster)) {
      charged += reads(reader, cluster) ? 1 : 0;
    }
    giveBack(reader, charged);
  }

  /// The snapshots that pay for a cluster of which `holder` has a version, whole or in part.
  List<Epoch> payers(Epoch holder, int cluster) {
    if (quotaCount == 0) {
      return List.of();
    }
    List<Epoch> payers = new ArrayList<>();
    for (Epoch epoch = holder; epoch != null; epoch = epoch.older) {
      if (epoch.terms.quota().isPresent() && reads(epoch, cluster)) {
        payers.add(epoch);
      }
    }
    return payers;
  }

  /// Versions of a cluster are gone for which these paid.
  void lost(List<Epoch> payers, int cluster) {
    for (Epoch payer : payers) {
      if (!reads(payer, cluster)) {
        giveBack(payer, 1);
      }
    }
  }

  private void giveBack(Epoch epoch, int clusterCount) {
    if (epoch.terms.quota().isPresent()) {
      epoch.terms.quota().get().giveBack((long) clusterCount * clusterBytes);
      epoch.chargedClusters -= clusterCount;
    }
  }

  /// Those about which something is to be done.
  List<PreservedQuota> due(@Nullable Epoch newest) {
    List<PreservedQuota> due = List.of();
    for (Epoch epoch = quotaCount == 0 ? null : newest; epoch != null; epoch = epoch.older) {
      if (epoch.terms.quota().filter(PreservedQuota::isDue).isPresent()) {
        due = due.isEmpty() ? new ArrayList<>() : due;
        due.add(epoch.terms.quota().get());
      }
    }
    return due;
  }
}
