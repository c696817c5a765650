// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.DurableMarks;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.util.List;

/// What the state directory keeps of one disk: a list of bitmaps, replaced as a whole, one file for
/// the bits of each, and the log of regions being written.
///
/// After a clean stop, and after `kill -9` (the bits live in a mapped file), bitmaps are exact.
/// After a power failure each recording one holds, beyond what it held at some earlier moment, all
/// of each region that the log names: never less than the truth. Whatever cannot be told (a torn or
/// foreign file, a disk that was changed meanwhile) makes the bitmaps inconsistent.
///
/// **Threads.** Any thread; methods other than [#marks] do file I/O and wait.
public interface DiskState extends AutoCloseable {

  /// What was there when it was opened; bitmaps that turned out not to be usable are marked
  /// inconsistent.
  List<BitmapRecord> found();

  /// Why bitmaps are inconsistent, or hold more than was written; empty when all is exact.
  String finding();

  /// Makes a file of clear bits, forced and with its space allocated. It does not belong to the
  /// list before a [#commit] names it.
  LiveContent create(int granularityBytes) throws IOException;

  /// Opens what a LIVE record names.
  LiveContent open(BitmapRecord live) throws IOException;

  /// Writes a set to a new file, forced.
  ///
  /// @return name of the file, for a record
  String seal(GranuleSet set) throws IOException;

  /// Reads what a SEALED record names.
  GranuleSet load(BitmapRecord sealed) throws IOException;

  /// Replaces the list, forced, and deletes the files that it does not name any more. After a
  /// failure, or a crash inside, the old list holds.
  void commit(List<BitmapRecord> records) throws IOException;

  /// Deletes files that were made and no commit named.
  void discard(List<String> contents);

  /// What writes have to wait for while persistent bitmaps record.
  DurableMarks marks();

  /// To be called every second or so, also when it is lost: forgets regions that are not written
  /// any more (their marks are forced first), and removes what could not be removed so far.
  void tick();

  /// Records that all is exact and the disk as it is now. No write is in flight any more, and the
  /// disk's data is synced.
  void closeClean(List<BitmapRecord> records) throws IOException;

  /// Whether what it keeps cannot be found again: [#close] then leaves nothing that is believed.
  boolean isLost();

  /// Gives everything up as if the process had been killed.
  @Override
  void close();

  /// A mapped bit array and the name of its file.
  record LiveContent(String content, BitArray bits) {}
}
