// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// The file that says which bitmaps a disk has. Replaced as a whole, never changed in place.
///
/// ```
///   0  "NBFLIST1"   8  version   12  payload length   16  payload   end - 4  CRC32C of all before
/// ```
///
/// All numbers are big-endian; texts are those of [DataOutputStream#writeUTF].
///
/// @param generation one more with each list
/// @param bootId of the machine's run in which it was written
/// @param clean the server has ended in order, and the checksums and the stamp count
/// @param log name of the activity log that goes with it; empty when clean
/// @param logNonce of that log
record BitmapList(
    String disk,
    long generation,
    String bootId,
    boolean clean,
    String identity,
    long sizeBytes,
    String stamp,
    String log,
    long logNonce,
    List<Entry> entries) {

  static final String NAME = "bitmaps";

  /// One that is to be put in force together with those of other disks.
  static final String NEXT = "bitmaps.next";

  static final int FILE_BYTES_MAX = 64 << 20;
  static final int ENTRIES_MAX = 65_536;

  private static final long MAGIC = 0x4E42_464C_4953_5431L;
  private static final int VERSION = 1;
  private static final int HEAD_BYTES = 16;

  BitmapList {
    entries = List.copyOf(entries);
  }

  /// @param checksum of a LIVE record's bits, when clean
  record Entry(BitmapRecord record, int checksum) {}

  List<BitmapRecord> records() {
    return entries.stream().map(Entry::record).toList();
  }

  byte[] encode() throws IOException {
    if (entries.size() > ENTRIES_MAX) {
      throw new IOException(
          "bitmaps of disk " + disk + ": " + entries.size() + " (limit: " + ENTRIES_MAX + ")");
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeLong(MAGIC);
    out.writeInt(VERSION);
    out.writeInt(0); // the payload's length follows
    out.writeUTF(disk);
    out.writeLong(generation);
    out.writeUTF(bootId);
    out.writeBoolean(clean);
    out.writeUTF(identity);
    out.writeLong(sizeBytes);
    out.writeUTF(stamp);
    out.writeUTF(log);
    out.writeLong(logNonce);
    out.writeInt(entries.size());
    for (Entry entry : entries) {
      write(out, entry);
    }
    int length = bytes.size() - HEAD_BYTES;
    out.writeInt(0);
    byte[] file = bytes.toByteArray();
    if (file.length > FILE_BYTES_MAX) {
      throw new IOException(
          "list of bitmaps of disk " + disk + ": " + file.length + " bytes (limit: 64 MiB)");
    }
    ByteBuffer.wrap(file)
        .putInt(12, length)
        .putInt(file.length - 4, ContentHeader.checksum(file, 0, file.length - 4));
    return file;
  }

  private static void write(DataOutputStream out, Entry entry) throws IOException {
    BitmapRecord record = entry.record();
    out.writeUTF(record.name());
    out.writeInt(record.granularityBytes());
    out.writeUTF(record.content());
    out.writeByte(
        switch (record.form()) {
          case LIVE -> 0;
          case SEALED -> 1;
        });
    out.writeBoolean(record.enabled());
    out.writeBoolean(record.inconsistent());
    out.writeBoolean(record.checkpoint());
    out.writeBoolean(record.pendingSnapshot().isPresent());
    out.writeUTF(record.pendingSnapshot().orElse(""));
    Instant created = record.created();
    out.writeLong(created.getEpochSecond());
    out.writeInt(created.getNano());
    out.writeInt(entry.checksum());
  }

  /// Fails unless the bytes are a whole list.
  static BitmapList decode(byte[] file) throws IOException {
    ByteBuffer head = ByteBuffer.wrap(file);
    if (file.length < HEAD_BYTES + 4
        || head.getLong(0) != MAGIC
        || head.getInt(12) != file.length - HEAD_BYTES - 4
        || head.getInt(file.length - 4) != ContentHeader.checksum(file, 0, file.length - 4)) {
      throw new IOException("torn or damaged");
    }
    if (head.getInt(8) != VERSION) {
      throw new IOException(
          "version: "
              + head.getInt(8)
              + " (expected: "
              + VERSION
              + "; written by another release)");
    }
    DataInputStream in =
        new DataInputStream(
            new ByteArrayInputStream(file, HEAD_BYTES, file.length - HEAD_BYTES - 4));
    String disk = in.readUTF();
    long generation = in.readLong();
    String bootId = in.readUTF();
    boolean clean = in.readBoolean();
    String identity = in.readUTF();
    long sizeBytes = in.readLong();
    String stamp = in.readUTF();
    String log = in.readUTF();
    long logNonce = in.readLong();
    int count = in.readInt();
    if (count < 0 || count > ENTRIES_MAX) {
      throw new IOException("bitmaps: " + count + " (limit: " + ENTRIES_MAX + ")");
    }
    List<Entry> entries = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      entries.add(readEntry(in));
    }
    if (in.available() != 0) {
      throw new IOException("longer than its content");
    }
    return new BitmapList(
        disk, generation, bootId, clean, identity, sizeBytes, stamp, log, logNonce, entries);
  }

  private static Entry readEntry(DataInputStream in) throws IOException {
    String name = in.readUTF();
    int granularityBytes = in.readInt();
    String content = in.readUTF();
    int form = in.readUnsignedByte();
    if (form > 1) {
      throw new IOException("form: " + form + " (expected: 0 or 1)");
    }
    boolean enabled = in.readBoolean();
    boolean inconsistent = in.readBoolean();
    boolean checkpoint = in.readBoolean();
    boolean pending = in.readBoolean();
    String snapshot = in.readUTF();
    Instant created;
    try {
      created = Instant.ofEpochSecond(in.readLong(), in.readInt());
    } catch (DateTimeException | ArithmeticException e) {
      throw new IOException("time of bitmap " + name, e);
    }
    BitmapRecord record =
        new BitmapRecord(
            name,
            granularityBytes,
            content,
            form == 0 ? BitmapRecord.Form.LIVE : BitmapRecord.Form.SEALED,
            enabled,
            inconsistent,
            checkpoint,
            pending ? Optional.of(snapshot) : Optional.empty(),
            created);
    return new Entry(record, in.readInt());
  }
}
