// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.zip.CRC32C;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `DELTA.map`: which stretches of a disk DELTA holds, in order of offset. What it does not name
/// has not changed. JSON lines: the source, then an extent a line, then the end.
///
/// ```
///   {"format":"nbdfleece-delta","version":1,"size_bytes":1073741824,"bitmap":"c1",
///    "server":"/tmp/nbd.sock","export":"vda@inc1","description":"snapshot inc1 of disk vda, …",
///    "pulled":"2026-11-21T04:27:28Z"}
///   {"offset":0,"length":65536,"crc32c":"0f3a11c8"}
///   {"offset":1048576,"length":131072,"zero":true}
///   {"extents":2,"data_bytes":65536,"zero_bytes":131072,"crc32c":"90fe1d77"}
/// ```
///
/// The CRC-32C of an extent is that of its content, the last one that of all bytes of the map
/// before its line. So a map that is torn or changed is known, and a delta that does not belong to
/// it too.
public record DeltaMap(DeltaSource source, List<DeltaExtent> extents) {
  private static final String FORMAT = "nbdfleece-delta";
  private static final int VERSION = 1;
  private static final int LINE_BYTES_MAX = 128 << 10;

  /// Most extents of a map: at most 400 MB of heap; at 64 KiB each 1 TiB of scattered changes.
  public static final int EXTENTS_MAX = 1 << 24;

  private static final int BUFFER_BYTES = 256 << 10;

  public DeltaMap {
    extents = List.copyOf(extents);
  }

  /// The map that belongs to a delta.
  public static Path pathOf(Path delta) {
    return delta.resolveSibling(delta.getFileName() + ".map");
  }

  public long dataBytes() {
    return extents.stream().filter(e -> !e.isZero()).mapToLong(DeltaExtent::lengthBytes).sum();
  }

  public long zeroBytes() {
    return extents.stream().filter(DeltaExtent::isZero).mapToLong(DeltaExtent::lengthBytes).sum();
  }

  /// Writes it to a new file, or over an old one, and waits until it is on stable storage.
  public void write(Path path) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            path,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      CRC32C crc = new CRC32C();
      StringBuilder text = new StringBuilder(Json.line(json(source))).append('\n');
      for (DeltaExtent extent : extents) {
        text.append(Json.line(json(extent))).append('\n');
        if (text.length() >= BUFFER_BYTES) {
          flush(text, crc, channel);
        }
      }
      flush(text, crc, channel);
      ObjectNode end =
          Json.object()
              .put("extents", extents.size())
              .put("data_bytes", dataBytes())
              .put("zero_bytes", zeroBytes())
              .put("crc32c", hex((int) crc.getValue()));
      flush(text.append(Json.line(end)).append('\n'), crc, channel);
      channel.force(true);
    }
  }

  private static void flush(StringBuilder text, CRC32C crc, FileChannel channel)
      throws IOException {
    byte[] bytes = text.toString().getBytes(UTF_8);
    text.setLength(0);
    crc.update(bytes);
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      int _ = channel.write(buffer);
    }
  }

  private static ObjectNode json(DeltaSource source) {
    return Json.object()
        .put("format", FORMAT)
        .put("version", VERSION)
        .put("size_bytes", source.sizeBytes())
        .put("bitmap", source.bitmap())
        .put("server", source.server())
        .put("export", source.export())
        .put("description", source.description())
        .put("pulled", source.pulled().toString());
  }

  private static ObjectNode json(DeltaExtent extent) {
    ObjectNode json =
        Json.object().put("offset", extent.offsetBytes()).put("length", extent.lengthBytes());
    return extent.isZero()
        ? json.put("zero", true)
        : json.put("crc32c", hex(extent.crc32c().getAsInt()));
  }

  private static String hex(int crc) {
    return String.format(Locale.ROOT, "%08x", crc);
  }

  /// Reads and checks a map. Fails with a message that names it.
  public static DeltaMap read(Path path) throws IOException {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(path), BUFFER_BYTES)) {
      return read(in, path);
    } catch (NoSuchFileException e) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          path + ": not found: a delta is two files, DELTA and DELTA.map: keep them together",
          e);
    } catch (JacksonException | IllegalArgumentException | DateTimeException e) {
      throw damaged(path, Messages.of(e).lines().findFirst().orElse(""));
    }
  }

  private static DeltaMap read(InputStream in, Path path) throws IOException {
    CRC32C crc = new CRC32C();
    DeltaSource source = source(line(in, crc).orElseThrow(() -> damaged(path, "empty")), path);
    List<DeltaExtent> extents = new ArrayList<>();
    long endBytes = 0;
    while (true) {
      int before = (int) crc.getValue();
      JsonNode line = line(in, crc).orElseThrow(() -> damaged(path, "its end is missing"));
      if (line.has("extents")) {
        if (line.path("extents").asLong() != extents.size()
            || !line.path("crc32c").asString("").equals(hex(before))) {
          throw damaged(path, "its checksum is not that of its content");
        }
        return new DeltaMap(source, extents);
      }
      DeltaExtent extent = extent(line);
      if (extent.offsetBytes() < endBytes
          || extent.endBytes() > source.sizeBytes()
          || extents.size() == EXTENTS_MAX) {
        throw damaged(path, "extent at offset " + extent.offsetBytes() + " is out of place");
      }
      endBytes = extent.endBytes();
      extents.add(extent);
    }
  }

  private static DeltaSource source(JsonNode line, Path path) throws CommandFailure {
    if (!line.path("format").asString("").equals(FORMAT)) {
      throw damaged(path, "it is no map of a delta");
    }
    if (line.path("version").asInt(0) != VERSION) {
      throw new CommandFailure(
          ExitCode.FAILED,
          path
              + ": version "
              + line.path("version").asString("?")
              + " (expected: "
              + VERSION
              + "): use the nbdfleece that wrote it, or a newer one");
    }
    return new DeltaSource(
        line.path("size_bytes").asLong(),
        line.path("bitmap").asString(""),
        line.path("server").asString(""),
        line.path("export").asString(""),
        line.path("description").asString(""),
        Instant.parse(line.path("pulled").asString("")));
  }

  private static DeltaExtent extent(JsonNode line) {
    boolean zero = line.path("zero").asBoolean(false);
    return new DeltaExtent(
        line.path("offset").asLong(-1),
        line.path("length").asLong(-1),
        zero
            ? OptionalInt.empty()
            : OptionalInt.of(HexFormat.fromHexDigits(line.path("crc32c").asString(""))));
  }

  /// A line that ends in a line feed, added to the checksum.
  private static Optional<JsonNode> line(InputStream in, CRC32C crc) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int b = in.read(); b >= 0 && bytes.size() < LINE_BYTES_MAX; b = in.read()) {
      bytes.write(b);
      if (b == '\n') {
        byte[] line = bytes.toByteArray();
        crc.update(line);
        return Optional.of(Json.parse(line));
      }
    }
    return Optional.empty();
  }

  private static CommandFailure damaged(Path path, String how) {
    return new CommandFailure(
        ExitCode.FAILED,
        path + ": damaged, " + how + ": nothing was applied: get it from another copy");
  }
}
