// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.util.List;
import java.util.Set;

/// What a client learns of an export when it opens it (NBD specification, "Transmission flags" and
/// "NBD_INFO_BLOCK_SIZE").
///
/// @param sizeBytes size, at least 0, at most `Long.MAX_VALUE`
/// @param description for people, shown by NBD_OPT_LIST and NBD_INFO_DESCRIPTION; may be empty
/// @param abilities what is advertised; without [Ability#WRITE] NBD_CMD_WRITE gets EPERM, and
///   NBD_FLAG_READ_ONLY is set when no ability that changes content is there
/// @param minimumBlockBytes a power of two from 1 to 64 KiB; requests that are not aligned to it
///   get EINVAL and never reach the export. Divides `sizeBytes`
/// @param preferredBlockBytes a power of two from 512 to 32 MiB, at least `minimumBlockBytes`
/// @param metaContexts names for NBD_OPT_SET_META_CONTEXT, e.g. `base:allocation`
public record ExportInfo(
    long sizeBytes,
    String description,
    Set<Ability> abilities,
    int minimumBlockBytes,
    int preferredBlockBytes,
    List<String> metaContexts) {

  /// The context that every client knows: holes and zeroes.
  public static final String BASE_ALLOCATION = "base:allocation";

  public ExportInfo {
    if (sizeBytes < 0) {
      throw new IllegalArgumentException("sizeBytes: " + sizeBytes + " (expected: >= 0)");
    }
    if (Integer.bitCount(preferredBlockBytes) != 1
        || preferredBlockBytes < 512
        || preferredBlockBytes > 32 << 20) {
      throw new IllegalArgumentException(
          "preferredBlockBytes: "
              + preferredBlockBytes
              + " (expected: power of two, 512 to 32 MiB)");
    }
    if (Integer.bitCount(minimumBlockBytes) != 1
        || minimumBlockBytes > 65536
        || minimumBlockBytes > preferredBlockBytes
        || sizeBytes % minimumBlockBytes != 0) {
      throw new IllegalArgumentException(
          "minimumBlockBytes: "
              + minimumBlockBytes
              + " (expected: power of two, 1 to 65536, at most the preferred "
              + preferredBlockBytes
              + ", divisor of the size "
              + sizeBytes
              + ")");
    }
    abilities = Set.copyOf(abilities);
    metaContexts = List.copyOf(metaContexts);
  }

  /// Of an export that can be read and written at any byte.
  public ExportInfo(
      long sizeBytes,
      String description,
      Set<Ability> abilities,
      int preferredBlockBytes,
      List<String> metaContexts) {
    this(sizeBytes, description, abilities, 1, preferredBlockBytes, metaContexts);
  }

  /// Whether the export has this ability.
  public boolean can(Ability ability) {
    return abilities.contains(ability);
  }

  /// What an export can do beyond being read.
  public enum Ability {
    /// NBD_CMD_WRITE.
    WRITE,
    /// NBD_CMD_FLUSH.
    FLUSH,
    /// NBD_CMD_FLAG_FUA.
    FUA,
    /// NBD_CMD_TRIM.
    TRIM,
    /// NBD_CMD_WRITE_ZEROES.
    WRITE_ZEROES,
    /// NBD_CMD_FLAG_FAST_ZERO.
    FAST_ZERO,
    /// NBD_CMD_CACHE.
    CACHE,
    /// Several connections behave as one (NBD_FLAG_CAN_MULTI_CONN).
    MULTI_CONN,
    /// A spinning disk.
    ROTATIONAL
  }
}
