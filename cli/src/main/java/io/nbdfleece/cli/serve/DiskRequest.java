// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.RemoteOptions;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/// Which disks, as typed.
///
/// @param places paths, each named after its file, and NBD URIs, each named after its export
/// @param named `NAME=PATH` or `NAME=URI` each; the first `=` is the one that counts
/// @param skipUnchanged whether writes that change nothing are not marked in bitmaps
/// @param reconnectDelaySeconds how long requests wait for an upstream server to come back
/// @param upstreamConnections to each upstream server
public record DiskRequest(
    List<String> places,
    List<String> named,
    boolean readOnly,
    boolean skipUnchanged,
    long reconnectDelaySeconds,
    int upstreamConnections) {
  private static final Pattern URI =
      Pattern.compile("[a-z][a-z0-9+.-]*://.*", Pattern.CASE_INSENSITIVE | Pattern.DOTALL);
  private static final long RECONNECT_SECONDS_MAX = 365L * 24 * 3600;
  private static final String NAME_IT = "name it with --disk NAME=PATH-OR-URI";

  List<DiskPlace> resolve() throws CommandFailure {
    List<DiskPlace> found = new ArrayList<>();
    for (String place : places) {
      found.add(isUri(place) ? remote("", place) : local("", place));
    }
    for (String disk : named) {
      int equals = disk.indexOf('=');
      if (equals < 1 || equals == disk.length() - 1) {
        throw usage(
            "--disk "
                + disk
                + ": give NAME=PATH or NAME=URI, e.g. --disk vda=/srv/vm1.img or"
                + " --disk 'vda=nbd+unix:///?socket=/run/vm1.sock'");
      }
      String name = disk.substring(0, equals);
      String place = disk.substring(equals + 1);
      found.add(isUri(place) ? remote(name, place) : local(name, place));
    }
    if (found.isEmpty()) {
      throw usage("nothing to serve: give a disk, e.g. `nbdfleece serve disk.img`");
    }
    Set<String> names = new HashSet<>();
    for (DiskPlace disk : found) {
      if (!names.add(disk.config().name())) {
        throw usage(
            "two disks named \""
                + disk.config().name()
                + "\", the second is "
                + disk.config().location()
                + ": "
                + NAME_IT);
      }
    }
    return found;
  }

  RemoteOptions upstream() throws CommandFailure {
    if (upstreamConnections < 1 || upstreamConnections > 64) {
      throw usage("--upstream-connections " + upstreamConnections + ": give 1 to 64");
    }
    if (reconnectDelaySeconds < 0 || reconnectDelaySeconds > RECONNECT_SECONDS_MAX) {
      throw usage(
          "--reconnect-delay "
              + reconnectDelaySeconds
              + ": give 0 (requests fail at once) to "
              + RECONNECT_SECONDS_MAX
              + " seconds");
    }
    return new RemoteOptions(
        upstreamConnections, Duration.ofSeconds(reconnectDelaySeconds), Duration.ZERO);
  }

  private static boolean isUri(String place) {
    return URI.matcher(place).matches();
  }

  private DiskPlace local(String name, String text) throws CommandFailure {
    try {
      Path path = Path.of(text);
      return new DiskPlace(config(name.isEmpty() ? nameOf(path) : name, text), Optional.empty());
    } catch (InvalidPathException e) {
      throw new CommandFailure(
          ExitCode.USAGE, "disk " + text + ": no path, " + e.getReason() + ": correct it", e);
    }
  }

  private DiskPlace remote(String name, String text) throws CommandFailure {
    NbdUri uri;
    try {
      uri = NbdUri.parse(text);
    } catch (IllegalArgumentException e) {
      throw new CommandFailure(ExitCode.USAGE, Messages.of(e), e);
    }
    if (name.isEmpty() && uri.exportName().isEmpty()) {
      throw usage(
          "disk "
              + text
              + ": its export has no name that ours could have: name it with --disk 'NAME="
              + text
              + "'");
    }
    return new DiskPlace(config(name.isEmpty() ? uri.exportName() : name, text), Optional.of(uri));
  }

  private DiskConfig config(String name, String location) throws CommandFailure {
    try {
      return new DiskConfig(
              name, location, readOnly ? DiskConfig.Access.READ_ONLY : DiskConfig.Access.READ_WRITE)
          .withSkipUnchanged(skipUnchanged);
    } catch (IllegalArgumentException e) {
      throw new CommandFailure(
          ExitCode.USAGE, e.getMessage() + ", " + location + ": " + NAME_IT, e);
    }
  }

  private static String nameOf(Path path) {
    Path last = path.getFileName();
    String file = last == null ? "" : last.toString();
    int dot = file.lastIndexOf('.');
    return dot > 0 ? file.substring(0, dot) : file;
  }

  private static CommandFailure usage(String message) {
    return new CommandFailure(ExitCode.USAGE, message);
  }
}
