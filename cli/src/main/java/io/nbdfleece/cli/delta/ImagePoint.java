// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `IMAGE.point`: which point in time of which disk an image shows.
///
/// ```
///   {"format":"nbdfleece-point","version":1,"points":[
///     {"disk":"vda","name":"checkpoint c1","instant":"2026-11-21T10:44:17.123456789Z"},
///     {"disk":"vda","name":"checkpoint c2","instant":"2026-11-21T10:44:20.987654321Z"}]}
/// ```
///
/// While deltas are applied, `unfinished` has where they lead: until that is done, each byte is as
/// it was at one of the times from the last of `points` to `unfinished`.
///
/// @param points that it has shown, the last one is what it shows; not empty
/// @param unfinished where deltas lead that were begun, but not finished
record ImagePoint(List<DeltaPoint> points, Optional<DeltaPoint> unfinished) {
  private static final String FORMAT = "nbdfleece-point";
  private static final String BEGIN = "{\"format\":\"" + FORMAT + "\"";
  private static final int VERSION = 1;
  private static final int BYTES_MAX = 1 << 20;
  private static final int POINTS_MAX = 500;
  // Of a directory, inode(7): only the owner of a file may remove it.
  private static final int STICKY = 01000;

  ImagePoint {
    if (points.isEmpty()) {
      throw new IllegalArgumentException("points: none (expected: what the image shows)");
    }
    points = List.copyOf(points.subList(Math.max(0, points.size() - POINTS_MAX), points.size()));
  }

  /// What it shows.
  DeltaPoint now() {
    return points.getLast();
  }

  boolean hasShown(DeltaPoint point) {
    return points.stream().anyMatch(point::isSame);
  }

  /// The same while deltas are applied. Unless they begin at what it shows, they take it back to
  /// where the first of them leads for a while: the points after that do not hold meanwhile.
  ///
  /// @param from where the first one begins, which it has shown
  /// @param reached where each of them leads
  ImagePoint towards(DeltaPoint from, List<DeltaPoint> reached) {
    DeltaPoint first = reached.getFirst();
    int kept = hasShown(first) ? indexOf(points, first) + 1 : placeOf(first, from, points);
    return new ImagePoint(points.subList(0, Math.max(1, kept)), Optional.of(reached.getLast()));
  }

  /// The same after these deltas: what it shows is where the last one leads.
  ImagePoint past(DeltaPoint from, List<DeltaPoint> reached) {
    DeltaPoint last = reached.getLast();
    List<DeltaPoint> all = new ArrayList<>(points);
    boolean _ = all.removeIf(last::isSame);
    DeltaPoint before = from;
    for (DeltaPoint point : reached.subList(0, reached.size() - 1)) {
      if (!hasShown(point)) {
        all.add(placeOf(point, before, all), point);
      }
      before = point;
    }
    all.add(last);
    return new ImagePoint(all, Optional.empty());
  }

  /// Where a point belongs in the order of time, given one that it comes after whatever the clock
  /// did. As for the others there is nothing but the clock to tell.
  private static int placeOf(DeltaPoint point, DeltaPoint before, List<DeltaPoint> points) {
    int place = indexOf(points, before) + 1;
    while (place < points.size() && !points.get(place).isAfter(point)) {
      place++;
    }
    return place;
  }

  private static int indexOf(List<DeltaPoint> points, DeltaPoint point) {
    for (int i = 0; i < points.size(); i++) {
      if (points.get(i).isSame(point)) {
        return i;
      }
    }
    return -1;
  }

  static Path pathOf(Path image) {
    return image.resolveSibling(image.getFileName() + ".point");
  }

  /// Empty when nobody has noted it.
  static Optional<ImagePoint> read(Path image) throws IOException {
    Path path = pathOf(image);
    try {
      if (Files.size(path) > BYTES_MAX) {
        throw damaged(path, "too long");
      }
      return Optional.of(parse(Files.readAllBytes(path), path));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (JacksonException | IllegalArgumentException e) {
      throw damaged(path, Messages.of(e).lines().findFirst().orElse(""));
    }
  }

  private static ImagePoint parse(byte[] content, Path path) throws CommandFailure {
    JsonNode json = Json.parse(content);
    if (!json.path("format").asString("").equals(FORMAT)) {
      throw damaged(path, "it is not what nbdfleece writes");
    }
    if (json.path("version").asInt(0) != VERSION) {
      throw damaged(
          path, "version " + json.path("version").asString("?") + " (expected: " + VERSION + ")");
    }
    List<DeltaPoint> points = new ArrayList<>();
    json.path("points").forEach(point -> points.add(DeltaPoint.of(point)));
    return new ImagePoint(
        points,
        json.has("unfinished")
            ? Optional.of(DeltaPoint.of(json.path("unfinished")))
            : Optional.empty());
  }

  private static CommandFailure damaged(Path path, String how) {
    return new CommandFailure(
        ExitCode.FAILED,
        path
            + ": damaged, "
            + how
            + ": nothing was applied: start again from a copy of the full backup and its .point,"
            + " or say --force if you know which deltas the image has");
  }

  /// Replaces what was noted of an image, in one step, and waits until it is on stable storage.
  /// Fails when somebody else calls a file so.
  void write(Path image) throws IOException {
    ObjectNode json = Json.object().put("format", FORMAT).put("version", VERSION);
    ArrayNode list = json.putArray("points");
    points.forEach(point -> list.add(point.json()));
    unfinished.ifPresent(point -> json.set("unfinished", point.json()));
    Path path = pathOf(image);
    if (Files.exists(path) && !isOurs(path)) {
      throw new FileAlreadyExistsException(path + ": is no file of nbdfleece: move it away");
    }
    Path fresh = path.resolveSibling(path.getFileName() + ".part");
    try (FileChannel channel =
        FileChannel.open(
            fresh,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      ByteBuffer buffer = ByteBuffer.wrap((Json.line(json) + "\n").getBytes(UTF_8));
      while (buffer.hasRemaining()) {
        int _ = channel.write(buffer);
      }
      channel.force(true);
    }
    Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    syncNames(path);
  }

  /// What was noted of an image, if it was, holds no more. A file that somebody else calls so
  /// stays.
  static void remove(Path image) throws IOException {
    Path path = pathOf(image);
    if (Files.exists(path) && isOurs(path)) {
      Files.delete(path);
      syncNames(path);
    }
  }

  /// Fails when [#remove] would.
  static void checkRemovable(Path image) throws IOException {
    Path path = pathOf(image);
    try {
      if (!Files.exists(path) || !isOurs(path)) {
        return;
      }
    } catch (IOException e) {
      String why = Files.isDirectory(path) ? "is a directory" : "cannot be read";
      throw new CommandFailure(ExitCode.FAILED, notRemovable(path, why), e);
    }
    Path directory = Objects.requireNonNull(path.toAbsolutePath().getParent(), "a file is in one");
    if ((attribute(directory, "unix:mode") & STICKY) == 0) {
      return;
    }
    int we = attribute(Path.of("/proc/self"), "unix:uid"); // which belongs to whom the process does
    boolean allowed =
        we == 0 || we == attribute(directory, "unix:uid") || we == attribute(path, "unix:uid");
    if (!allowed) {
      throw new CommandFailure(
          ExitCode.FAILED,
          notRemovable(path, "belongs to another user, who alone may remove it there"));
    }
  }

  /// Of a file itself, or of what a directory's name leads to.
  private static int attribute(Path path, String name) throws IOException {
    return Files.isDirectory(path)
        ? (Integer) Files.getAttribute(path, name)
        : (Integer) Files.getAttribute(path, name, LinkOption.NOFOLLOW_LINKS);
  }

  private static String notRemovable(Path path, String why) {
    return path + ": " + why + ", and would be taken for the new image's: move it away";
  }

  private static boolean isOurs(Path path) throws IOException {
    return Files.size(path) <= BYTES_MAX && Files.readString(path, ISO_8859_1).startsWith(BEGIN);
  }

  private static void syncNames(Path path) throws IOException {
    Path directory = path.toAbsolutePath().getParent();
    if (directory != null) {
      try (FileChannel names = FileChannel.open(directory, StandardOpenOption.READ)) {
        names.force(true);
      }
    }
  }
}
