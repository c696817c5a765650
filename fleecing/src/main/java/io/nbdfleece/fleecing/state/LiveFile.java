// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// The mapped file of a bitmap that records: a page with a [ContentHeader], then [MappedBits].
///
/// All of its space is allocated when it is made: 32 MiB for a disk of 16 TiB in granules of 64
/// KiB.
final class LiveFile {
  private final String name;
  private final StateFiles.MappedFile file;
  private final MappedBits bits;

  private LiveFile(String name, StateFiles.MappedFile file, long sizeBytes, int granularityBytes) {
    this.name = name;
    this.file = file;
    this.bits = new MappedBits(file.memory(), MappedBits.PAGE_BYTES, sizeBytes, granularityBytes);
  }

  private static long fileBytes(long sizeBytes, int granularityBytes) {
    return MappedBits.PAGE_BYTES + MappedBits.bytes(sizeBytes, granularityBytes);
  }

  /// Makes one with clear bits, forced; its name is not.
  static LiveFile create(
      StateFiles files,
      String name,
      ContentHeader.IdentityHash identity,
      long sizeBytes,
      int granularityBytes)
      throws IOException {
    long granules = ContentHeader.granules(sizeBytes, granularityBytes);
    byte[] header =
        new ContentHeader(
                ContentHeader.Kind.LIVE, sizeBytes, granularityBytes, identity, name, granules, 0)
            .encode();
    StateFiles.MappedFile file =
        files.createMapped(name, fileBytes(sizeBytes, granularityBytes), header);
    return new LiveFile(name, file, sizeBytes, granularityBytes);
  }

  /// Maps one that is there; fails when it is not this disk's or has another shape.
  static LiveFile open(
      StateFiles files,
      String name,
      ContentHeader.IdentityHash identity,
      long sizeBytes,
      int granularityBytes)
      throws IOException {
    long granules = ContentHeader.granules(sizeBytes, granularityBytes);
    StateFiles.MappedFile file = files.map(name, fileBytes(sizeBytes, granularityBytes));
    try {
      byte[] head = new byte[ContentHeader.BYTES];
      MemorySegment.copy(file.memory(), ValueLayout.JAVA_BYTE, 0, head, 0, head.length);
      ContentHeader header =
          ContentHeader.decode(
              head, ContentHeader.Kind.LIVE, name, identity, sizeBytes, granularityBytes);
      if (header.payloadBytes() != granules) {
        throw new IOException(name + " belongs to another bitmap or disk");
      }
      LiveFile opened = new LiveFile(name, file, sizeBytes, granularityBytes);
      opened.requireWhole();
      return opened;
    } catch (IOException | RuntimeException | Error e) {
      file.close();
      throw e;
    }
  }

  private void requireWhole() throws IOException {
    try {
      bits.requireWhole();
    } catch (IOException e) {
      throw new IOException(name + " is damaged: " + e.getMessage(), e);
    }
  }

  String name() {
    return name;
  }

  MappedBits bits() {
    return bits;
  }

  void force() throws IOException {
    file.force();
  }

  /// Marks have no meaning any more; the memory stays until [#close].
  void drop() {
    bits.drop();
  }

  void close() {
    bits.drop();
    file.close();
  }
}
