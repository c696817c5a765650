// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A recorded conversation over QMP: a text file that is played to us and, to prove the recording
/// true, to QEMU.
///
/// ```
///   # a comment, in a line of its own
///   = disk drive0 1M            a disk to be served
///   = file scratch 1M           an image, scratch.img, that is only there
///   = play nbdfleece qemu       who can play it: their roles, see DialoguePeer
///   = raw                       it begins with the greeting and negotiates itself
///   -> {"execute": …}           what the client sends, as it stands, of any number of lines
///   <- {"return": {}}           the next message that must come, see JsonPattern
///   <-[vm,nbdfleece] …          a step for some roles only; so for -> and !!
///   ...                         any number of events before the next message
///   !! write SOCKET EXPORT OFFSET LENGTH BYTE     an NBD client writes; see DialogueGuest
/// ```
///
/// `${dir}` is the directory of the disks.
///
/// @param raw whether greeting and negotiation are steps of its own
record Dialogue(Path path, List<Disk> disks, Set<String> roles, boolean raw, List<Step> steps) {
  private static final Pattern MARK = Pattern.compile("(->|<-|!!|=|\\.\\.\\.)(\\[[\\w,-]+])?(.*)");

  Dialogue {
    disks = List.copyOf(disks);
    roles = Set.copyOf(roles);
    steps = List.copyOf(steps);
  }

  /// A disk full of zeroes; its file is `NAME.img`.
  ///
  /// @param served whether the program is started with it
  record Disk(String name, long sizeBytes, boolean served) {}

  /// @param line where it begins in the file
  /// @param roles who plays it; empty = all
  record Step(Kind kind, int line, Set<String> roles, String text) {
    Step {
      roles = Set.copyOf(roles);
    }

    boolean isFor(Set<String> player) {
      return roles.isEmpty() || roles.stream().anyMatch(player::contains);
    }
  }

  enum Kind {
    SEND,
    EXPECT,
    ANY_EVENTS,
    GUEST
  }

  static Dialogue parse(Path path) throws IOException {
    List<Disk> disks = new ArrayList<>();
    Set<String> roles = Set.of();
    boolean raw = false;
    List<Step> steps = new ArrayList<>();
    List<String> lines = Files.readAllLines(path);
    for (int i = 0; i < lines.size(); i++) {
      Matcher mark = MARK.matcher(lines.get(i));
      if (lines.get(i).isBlank() || lines.get(i).startsWith("#")) {
        continue;
      }
      if (!mark.matches()) {
        throw new IOException(path + ":" + (i + 1) + ": not a step: " + lines.get(i));
      }
      int first = i;
      StringBuilder text = new StringBuilder(mark.group(3).strip());
      while (i + 1 < lines.size() && continues(lines.get(i + 1))) {
        i++;
        text.append('\n').append(lines.get(i));
      }
      String[] words = text.toString().strip().split("\\s+");
      switch (mark.group(1)) {
        case "=" -> {
          switch (words[0]) {
            case "disk", "file" ->
                disks.add(new Disk(words[1], bytes(words[2]), words[0].equals("disk")));
            case "play" -> roles = Set.of(words);
            case "raw" -> raw = true;
            default -> throw new IOException(path + ":" + (first + 1) + ": " + words[0]);
          }
        }
        case "->" -> steps.add(step(Kind.SEND, first, mark.group(2), text));
        case "<-" -> steps.add(step(Kind.EXPECT, first, mark.group(2), text));
        case "!!" -> steps.add(step(Kind.GUEST, first, mark.group(2), text));
        default -> steps.add(step(Kind.ANY_EVENTS, first, mark.group(2), text));
      }
    }
    return new Dialogue(path, disks, roles, raw, steps);
  }

  private static boolean continues(String line) {
    return !line.isBlank() && !line.startsWith("#") && !MARK.matcher(line).matches();
  }

  private static Step step(Kind kind, int lineIndex, String roles, CharSequence text) {
    return new Step(
        kind,
        lineIndex + 1,
        roles == null ? Set.of() : Set.of(roles.substring(1, roles.length() - 1).split(",")),
        text.toString().strip());
  }

  /// `4096`, `64k`, `1M`.
  static long bytes(String size) {
    int last = size.length() - 1;
    return switch (size.charAt(last)) {
      case 'k' -> Long.parseLong(size.substring(0, last)) << 10;
      case 'M' -> Long.parseLong(size.substring(0, last)) << 20;
      case 'G' -> Long.parseLong(size.substring(0, last)) << 30;
      default -> Long.parseLong(size);
    };
  }

  List<Disk> served() {
    return disks.stream().filter(Disk::served).toList();
  }

  boolean isFor(Set<String> player) {
    return roles.stream().anyMatch(player::contains);
  }

  @Override
  public String toString() {
    return String.valueOf(path.getFileName());
  }
}
