// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.cli.base.Json;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.zip.CRC32C;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/// `FILE.part.map`: which ranges of `FILE.part` are there and on stable storage. Used by one thread
/// at a time.
///
/// ```
///   8 hex digits  blank  text                                          line feed
///   6b1c0a2e             nbdfleece-pull 1 {"server":"/run/n.sock",...}
///   90fe1d77             done 0 1048576
///   0c5a9be3             done 3145728 2097152
/// ```
///
/// The digits are the CRC-32C of the line before's digits and this line's text, so the first line
/// that is torn, changed or out of place ends what is believed.
final class PullJournal implements AutoCloseable {
  /*
   * A range is written here only after fdatasync of the data, and counts only once it is synced
   * itself. So after a crash the journal may know less than the file has, never more. It starts out
   * under another name, with everything that was known before, and replaces the old one in one
   * step: a crash in between leaves the old one.
   */
  private static final String MAGIC = "nbdfleece-pull 1 ";
  private static final String DONE = "done ";
  // A name and a description of 4 KiB each, escaped.
  private static final int LINE_BYTES_MAX = 128 << 10;
  // A line is about 40 bytes and stands for a second of work or for 32 MiB.
  private static final long FILE_BYTES_MAX = 64 << 20;

  private final Path path;
  private final FileChannel channel;
  private String chain;

  private PullJournal(Path path, FileChannel channel, String chain) {
    this.path = path;
    this.channel = channel;
    this.chain = chain;
  }

  /// What a journal says.
  ///
  /// @param source empty when there is no journal, or none that can be believed
  record Content(Optional<PullSource> source, DoneRanges done) {}

  /// Reads as far as it can be believed.
  static Content read(Path path) throws IOException {
    DoneRanges done = new DoneRanges();
    Optional<PullSource> source = Optional.empty();
    try (InputStream in = new BufferedInputStream(Files.newInputStream(path))) {
      if (Files.size(path) > FILE_BYTES_MAX) {
        return new Content(Optional.empty(), done);
      }
      String chain = "";
      Optional<String> line = line(in);
      while (line.isPresent() && isWhole(chain, line.get())) {
        chain = line.get().substring(0, 8);
        String text = line.get().substring(9);
        if (source.isEmpty()) {
          source = source(text);
          if (source.isEmpty()) {
            break;
          }
        } else if (!take(text, source.get().sizeBytes(), done)) {
          break;
        }
        line = line(in);
      }
    } catch (NoSuchFileException e) {
      return new Content(Optional.empty(), done);
    }
    return new Content(source, done);
  }

  private static Optional<String> line(InputStream in) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int b = in.read(); b >= 0 && bytes.size() < LINE_BYTES_MAX; b = in.read()) {
      if (b == '\n') {
        return Optional.of(bytes.toString(UTF_8));
      }
      bytes.write(b);
    }
    return Optional.empty(); // torn
  }

  private static boolean isWhole(String chain, String line) {
    return line.length() > 9
        && line.charAt(8) == ' '
        && line.substring(0, 8).equals(checksum(chain, line.substring(9)));
  }

  private static Optional<PullSource> source(String text) {
    if (!text.startsWith(MAGIC)) {
      return Optional.empty();
    }
    try {
      JsonNode json = Json.parse(text.substring(MAGIC.length()).getBytes(UTF_8));
      return Optional.of(
          new PullSource(
              json.path("server").asString(),
              json.path("export").asString(),
              json.path("size_bytes").asLong(),
              json.path("description").asString()));
    } catch (JacksonException e) {
      return Optional.empty();
    }
  }

  private static boolean take(String text, long sizeBytes, DoneRanges done) {
    if (!text.matches("done \\d{1,19} \\d{1,19}")) {
      return false;
    }
    String[] numbers = text.substring(DONE.length()).split(" ", -1);
    try {
      ByteRange range = new ByteRange(Long.parseLong(numbers[0]), Long.parseLong(numbers[1]));
      if (range.endBytes() > sizeBytes) {
        return false;
      }
      done.add(range);
      return true;
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  /// Starts a journal that says this, in place of one that may be there. When it returns, the new
  /// one is durable, name included. When it fails, the old one stands.
  static PullJournal create(Path path, PullSource source, DoneRanges done) throws IOException {
    Path fresh = freshOf(path);
    FileChannel channel =
        FileChannel.open(
            fresh,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE);
    try {
      PullJournal journal = new PullJournal(path, channel, "");
      journal.writeLines(List.of(MAGIC + Json.line(json(source))));
      journal.append(done.ranges());
      Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      syncDirectoryOf(path);
      return journal;
    } catch (IOException e) {
      try (channel) {
        boolean _ = Files.deleteIfExists(fresh);
      } catch (IOException removing) {
        e.addSuppressed(removing);
      }
      throw e;
    }
  }

  private static Path freshOf(Path path) {
    return path.resolveSibling(path.getFileName() + ".new");
  }

  private static JsonNode json(PullSource source) {
    return Json.object()
        .put("server", source.server())
        .put("export", source.exportName())
        .put("size_bytes", source.sizeBytes())
        .put("description", source.description());
  }

  /// These ranges are on stable storage, the caller has seen to that. When it returns, so is this.
  void append(List<ByteRange> ranges) throws IOException {
    writeLines(ranges.stream().map(r -> DONE + r.offsetBytes() + " " + r.lengthBytes()).toList());
    try {
      channel.force(false);
    } catch (IOException e) {
      throw SparseFileTarget.unwritable(path, e);
    }
  }

  private void writeLines(List<String> texts) throws IOException {
    StringBuilder lines = new StringBuilder();
    for (String text : texts) {
      chain = checksum(chain, text);
      lines.append(chain).append(' ').append(text).append('\n');
    }
    ByteBuffer bytes = ByteBuffer.wrap(lines.toString().getBytes(UTF_8));
    try {
      while (bytes.hasRemaining()) {
        int _ = channel.write(bytes);
      }
    } catch (IOException e) {
      throw SparseFileTarget.unwritable(path, e);
    }
  }

  private static String checksum(String chain, String text) {
    CRC32C crc = new CRC32C();
    crc.update(chain.getBytes(UTF_8));
    crc.update(text.getBytes(UTF_8));
    return String.format("%08x", crc.getValue());
  }

  /// Removes a journal that may be there; when it returns, no crash brings it back.
  static void remove(Path path) throws IOException {
    boolean unfinished = Files.deleteIfExists(freshOf(path));
    if (Files.deleteIfExists(path) || unfinished) {
      syncDirectoryOf(path);
    }
  }

  /// Makes the names in the directory of `path` durable.
  static void syncDirectoryOf(Path path) throws IOException {
    Path directory = path.toAbsolutePath().getParent();
    if (directory != null) {
      try (FileChannel names = FileChannel.open(directory, StandardOpenOption.READ)) {
        names.force(true);
      }
    }
  }

  Path path() {
    return path;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
